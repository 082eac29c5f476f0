//! The `oubliette` program. All of it is in the library: what is generic there would otherwise be compiled
//! into this file once more.

use std::process::ExitCode;

fn main() -> ExitCode {
    oubliette::program::main()
}
