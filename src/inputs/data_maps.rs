//! The DataMaps among manifests: which database each is about, and whether it may bind it. One that
//! binds nothing here is a fault, because a duty must not vanish.

use std::collections::BTreeMap;

use oubliette_core::api::data_map::DataMapSpec;
use oubliette_core::duty::{DataMap, NamedMap};
use oubliette_core::target::Target;

use super::fault::Faults;
use super::files::{MAP, Manifests, Written};
use super::offline::{Name, fault, not_among, refuses};

/// The maps of each database, in the order of their names.
pub fn gather(
    manifests: &Manifests,
    targets: &BTreeMap<Name, Target>,
) -> Result<BTreeMap<Name, Vec<NamedMap>>, Faults> {
    let mut faults = Vec::new();
    let mut all: BTreeMap<Name, Vec<NamedMap>> = BTreeMap::new();
    for written in &manifests.maps {
        // A map without a name for its database was refused when it was read.
        let Some(database) = database_of(written) else {
            continue;
        };
        let Some(target) = targets.get(&database) else {
            // Without policies and requests nothing is bound.
            if !manifests.policies.is_empty() || !manifests.requests.is_empty() {
                faults.push(fault(written, MAP, not_among(&database, targets.keys())));
            }
            continue;
        };
        if let Some(refusal) = refuses(target, &database, &written.namespace, &manifests.supplies) {
            faults.push(fault(written, MAP, format!("spec.databaseRef: {refusal}")));
            continue;
        }
        match DataMap::parse(&written.spec, target) {
            Ok(map) => all.entry(database).or_default().push(NamedMap {
                name: format!("{}/{}", written.namespace, written.name),
                map,
            }),
            Err(found) => {
                let found = found.iter().map(ToString::to_string);
                faults.extend(found.map(|message| fault(written, MAP, message)));
            }
        }
    }
    for maps in all.values_mut() {
        maps.sort_by(|a, b| a.name.cmp(&b.name));
    }
    if faults.is_empty() {
        Ok(all)
    } else {
        Err(Faults(faults))
    }
}

/// Which database a map names.
pub(super) fn database_of(written: &Written<DataMapSpec>) -> Option<Name> {
    let reference = written.spec.database_ref.as_ref()?;
    let namespace = reference.namespace.as_ref().unwrap_or(&written.namespace);
    Some(Name {
        namespace: namespace.clone(),
        name: reference.name.clone()?,
    })
}
