//! What a plan or command is made from, gathered with I/O: manifests here, the cluster beside it.

pub mod cluster;
pub mod data_maps;
pub mod fault;
pub mod files;
pub mod offline;
pub mod requests;
pub mod secrets;
pub mod subject;
pub mod supplies;
pub mod url;
pub(crate) mod words;
