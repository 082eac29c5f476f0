//! Which tables of a database the policies and DataMaps of a cluster decide about. What is left is core's to say.

use std::collections::BTreeSet;

use kube::core::DynamicObject;
use oubliette_core::catalog::Engine;
use oubliette_core::coverage::{mapped, qualified, reached};
use oubliette_core::name::{Ident, TableName};
use oubliette_core::policy::Mandate;

use super::conflicts::usable;
use super::data_map::Bound;
use super::retention_policy::read_spec;
use super::scope::database_of;
use super::{Context, Name};
use crate::inputs::cluster::DatabaseInput;

/// The tables that policies and DataMaps of this TargetDatabase decide about, whatever the policies'
/// mode. Those that do not parse or may not use it decide about nothing.
pub(super) async fn decided(
    database: &DynamicObject,
    input: &DatabaseInput,
    engine: Engine,
    context: &Context,
) -> BTreeSet<TableName> {
    let mut decided = BTreeSet::new();
    let own = Name::of(database);
    let target = &input.target;
    let Ok(place) = Ident::new(target.connection.database.clone()) else {
        return decided;
    };
    for policy in context.scopes.policies() {
        if policy.metadata.deletion_timestamp.is_some()
            || database_of(&policy).as_ref() != Some(&own)
        {
            continue;
        }
        let parsed = context.memory.parsed(&policy, Some(input.version()), || {
            Mandate::parse(&read_spec(&policy)?, target)
        });
        let Ok(mandate) = parsed.as_ref() else {
            continue;
        };
        let from = Name::of(&policy).namespace;
        if usable(target, &own, &from, context).await.is_ok() {
            decided.extend(reached(&mandate.policy));
        }
    }
    let bound = Bound::on(&own, input, context).await;
    decided.extend(mapped(&bound.maps));
    qualified(decided, engine, &place)
}
