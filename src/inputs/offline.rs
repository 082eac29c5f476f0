//! What plans and runs are made from without a cluster: manifests, and what they name among them.
//!
//! Owns what the API server and the controller's watches decide in a cluster: which database a policy
//! is about, whether it may be used from there, and which policies stand in each other's way. All of
//! it from files, so that a plan of a file is the plan of the applied object.

use std::collections::BTreeMap;
use std::fmt;

use oubliette_core::api::parse::FieldError;
use oubliette_core::api::reason::Reason;
use oubliette_core::api::refs::SecretRef;
use oubliette_core::api::retention_policy::RetentionPolicySpec;
use oubliette_core::api::target_database::{
    ConnectionSpec, CredentialsSpec, TargetDatabaseSpec, TlsSpec,
};
use oubliette_core::api::words::Choice;
use oubliette_core::decide::conflict::{Conflicts, Rules};
use oubliette_core::duty::NamedMap;
use oubliette_core::erasure::find::Known;
use oubliette_core::ledger::uuid;
use oubliette_core::plan::Refusal;
use oubliette_core::policy::Mandate;
use oubliette_core::target::{Ca, Target, UsableFrom};
use secrecy::SecretSlice;

use super::data_maps;
use super::fault::{Fault, Faults, Origin};
use super::files::{DATABASE, MAP, Manifests, POLICY, Written};
use super::requests::{self, ChosenMap, Petition};
use super::secrets::{self, GatherFault, Login};
use super::subject;
use super::supplies::Supplies;
use super::url::DatabaseUrl;
use crate::database::Database;

/// Namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A policy with its database.
#[derive(Clone, Debug)]
pub struct Promise {
    /// The policy.
    pub name: Name,
    /// Its spec as written.
    pub spec: RetentionPolicySpec,
    /// Its spec as understood.
    pub mandate: Mandate,
    /// The TargetDatabase.
    pub database: Name,
    /// What that one asks for.
    pub target: Target,
    /// Why nothing of it runs: another policy is in the way, or it may not use the database.
    pub hindrances: Vec<Refusal>,
    /// The Approvals of it among the manifests.
    pub approvals: Vec<String>,
}

impl Promise {
    /// Where the database is, for people.
    pub fn address(&self) -> String {
        self.target.address()
    }
}

/// Who a request is about.
#[derive(Clone, Debug)]
pub struct Subject {
    /// What they are known by.
    pub known: Known,
    /// What stands for the Secret's UID.
    pub uid: String,
    /// Whether it is the same at the next call.
    pub is_lasting: bool,
}

/// Where Secrets are looked up, and the connections that were made.
pub struct Offline {
    supplies: Supplies,
    targets: BTreeMap<Name, Target>,
    maps: BTreeMap<Name, Vec<NamedMap>>,
    petitions: Vec<Petition>,
    /// As whom to connect, where the database came as a URL.
    login: Option<Login>,
    connected: BTreeMap<Name, Database>,
}

impl Offline {
    /// Puts policies and databases together. `given`: a database that stands for the one that the
    /// policies name, in place of its connection.
    pub fn new(
        mut manifests: Manifests,
        given: Option<(DatabaseUrl, Login)>,
    ) -> Result<(Self, Vec<Promise>), Faults> {
        let login = match given {
            None => None,
            Some((url, login)) => {
                stand_in(&mut manifests, &url)?;
                Some(login)
            }
        };
        let (targets, maps, promises) = promises(&manifests)?;
        let petitions = requests::gather(&manifests, &targets, &maps);
        let offline = Self {
            supplies: manifests.supplies,
            targets,
            maps,
            petitions,
            login,
            connected: BTreeMap::new(),
        };
        Ok((offline, promises))
    }

    /// A connection to a policy's database; the same one for all of its policies.
    pub async fn connect(&mut self, promise: &Promise) -> Result<Database, GatherFault> {
        self.connect_to(&promise.database, &promise.target).await
    }

    /// A connection to a database, whether or not a policy is about it.
    pub async fn connect_to(
        &mut self,
        name: &Name,
        target: &Target,
    ) -> Result<Database, GatherFault> {
        if let Some(database) = self.connected.get(name) {
            return Ok(database.clone());
        }
        let namespace = name.namespace.as_str();
        let (login, from) = match &self.login {
            Some(login) => (login.clone(), None),
            None => (
                self.login_of(namespace, target)?,
                Some((namespace, target.connection.credentials.as_str())),
            ),
        };
        let database = secrets::connect(target, login, from).await?;
        self.connected.insert(name.clone(), database.clone());
        Ok(database)
    }

    /// The TargetDatabases of the manifests.
    pub fn targets(&self) -> BTreeMap<Name, Target> {
        self.targets.clone()
    }

    /// The DataMaps about a database.
    pub fn maps(&self, database: &Name) -> &[NamedMap] {
        self.maps.get(database).map_or(&[], Vec::as_slice)
    }

    /// The databases of policies and requests, each once.
    pub fn databases(&self, promises: &[Promise]) -> BTreeMap<Name, Target> {
        let policies = promises.iter().map(|one| (&one.database, &one.target));
        let maps = self.petitions.iter().flat_map(|petition| &petition.maps);
        let maps = maps.map(|chosen| (&chosen.database, &chosen.target));
        let all = policies.chain(maps);
        all.map(|(name, target)| (name.clone(), target.clone()))
            .collect()
    }

    /// The requests of persons, in the order of the manifests.
    pub fn petitions(&self) -> Vec<Petition> {
        self.petitions.clone()
    }

    /// What a person is known by, and what stands for the UID of the Secret that says so: nobody can
    /// guess it. A Secret without one gets another one at each call.
    pub fn subject(&self, petition: &Petition) -> Result<Subject, GatherFault> {
        let namespace = &petition.name.namespace;
        let secret = self.supplies.secret(namespace, &petition.request.secret)?;
        let own = secret.metadata.uid.clone().filter(|uid| !uid.is_empty());
        Ok(Subject {
            is_lasting: own.is_some(),
            uid: own.unwrap_or_else(|| uuid(rand::random())),
            known: subject::known(secret, &petition.identifiers())?,
        })
    }

    /// The key of a map's pseudonyms, where it has one.
    pub fn key_of_map(&self, chosen: &ChosenMap) -> Result<Option<SecretSlice<u8>>, GatherFault> {
        let Some(at) = &chosen.map.map.people.pseudonym_key else {
            return Ok(None);
        };
        let secret = self.supplies.secret(&chosen.namespace, &at.name)?;
        let Name { namespace, name } = &chosen.database;
        secrets::pseudonym_key(secret, at, (namespace, name)).map(Some)
    }

    fn login_of(&self, namespace: &str, target: &Target) -> Result<Login, GatherFault> {
        let connection = &target.connection;
        let supplies = &self.supplies;
        let mut login = Login::of(supplies.secret(namespace, &connection.credentials)?)?;
        login.ca = match &connection.tls.ca {
            None => None,
            Some(Ca::Secret(at)) => {
                Some(secrets::pem_of(supplies.secret(namespace, &at.name)?, at)?)
            }
            Some(Ca::ConfigMap(at)) => Some(secrets::pem_of_map(
                &supplies.config_map(namespace, &at.name)?,
                at,
            )?),
        };
        Ok(login)
    }

    /// A policy's key of pseudonyms, where it has one.
    pub fn pseudonym_key(&self, promise: &Promise) -> Result<Option<SecretSlice<u8>>, GatherFault> {
        let Some(at) = &promise.mandate.pseudonym_key else {
            return Ok(None);
        };
        let secret = self.supplies.secret(&promise.name.namespace, &at.name)?;
        let Name { namespace, name } = &promise.database;
        secrets::pseudonym_key(secret, at, (namespace, name)).map(Some)
    }

    /// Whether the database came as a URL.
    pub fn is_given(&self) -> bool {
        self.login.is_some()
    }

    /// Closes all connections.
    pub async fn close(self) {
        for database in self.connected.into_values() {
            database.close().await;
        }
    }
}

/// What a URL asks for, as a TargetDatabase would.
pub fn target_of(url: &DatabaseUrl) -> Result<Target, Faults> {
    Target::parse(&spec_of(url)).map_err(|all| {
        let origin = Origin {
            file: "--database-url".to_owned(),
            document: 1,
            item: None,
        };
        let fault = |fault: FieldError| Fault::Field {
            origin: origin.clone(),
            kind: DATABASE,
            name: "database-url".to_owned(),
            message: fault.to_string(),
        };
        Faults(all.into_iter().map(fault).collect())
    })
}

fn spec_of(url: &DatabaseUrl) -> TargetDatabaseSpec {
    let connection = ConnectionSpec {
        host: Some(url.host.clone()),
        port: url.port.map(i32::from),
        database: Some(url.database.clone()),
        credentials: Some(CredentialsSpec {
            secret_ref: Some(SecretRef {
                name: Some("database-url".to_owned()),
                ..SecretRef::default()
            }),
            ..CredentialsSpec::default()
        }),
        tls: Some(TlsSpec {
            mode: Some(Choice::Known(url.tls)),
            ..TlsSpec::default()
        }),
        ..ConnectionSpec::default()
    };
    TargetDatabaseSpec {
        engine: Some(Choice::Known(url.engine)),
        connection: Some(connection),
        ..TargetDatabaseSpec::default()
    }
}

/// Puts a URL's connection in place of the one of the only TargetDatabase, or makes that one.
fn stand_in(manifests: &mut Manifests, url: &DatabaseUrl) -> Result<(), Faults> {
    let mut named: Vec<(Name, &Origin)> = Vec::new();
    for policy in &manifests.policies {
        let Some(name) = database_of(policy) else {
            continue;
        };
        if let Some((first, _)) = named.first()
            && *first != name
        {
            let message = format!(
                "spec.databaseRef: names {name}, another policy {first}: --database-url stands for \
                 one database, so give the policies of one at a time"
            );
            return Err(Faults(vec![fault(policy, POLICY, message)]));
        }
        named.push((name, &policy.origin));
    }
    // A person is looked for in all maps that are given.
    for map in manifests
        .maps
        .iter()
        .filter(|_| !manifests.requests.is_empty())
    {
        let Some(name) = data_maps::database_of(map) else {
            continue;
        };
        if let Some((first, _)) = named.first()
            && *first != name
        {
            let message = format!(
                "spec.databaseRef: names {name}, another resource {first}: --database-url stands for \
                 one database; for a request over several give their TargetDatabases"
            );
            return Err(Faults(vec![fault(map, MAP, message)]));
        }
        named.push((name, &map.origin));
    }
    let Some((name, origin)) = named.first() else {
        return Ok(());
    };
    let given = spec_of(url);
    let written = manifests
        .databases
        .iter_mut()
        .find(|written| written.namespace == name.namespace && written.name == name.name);
    if let Some(written) = written {
        let declared = written.spec.engine.as_ref().and_then(Choice::known);
        if declared != Some(url.engine) {
            let message = "spec.engine: --database-url is of another engine".to_owned();
            return Err(Faults(vec![fault(written, DATABASE, message)]));
        }
        written.spec.connection = given.connection;
    } else if manifests.databases.is_empty() {
        // Where there are some, the name is one that none of them has: `promises` refuses it, since
        // the guards of the one that is meant would be left out.
        let origin = Origin {
            file: "--database-url".to_owned(),
            ..(*origin).clone()
        };
        let written = Written {
            origin,
            namespace: name.namespace.clone(),
            name: name.name.clone(),
            spec: given,
        };
        manifests.databases.push(written);
    }
    Ok(())
}

/// Which database a policy names.
fn database_of(policy: &Written<RetentionPolicySpec>) -> Option<Name> {
    let reference = policy.spec.database_ref.as_ref()?;
    Some(Name {
        namespace: reference
            .namespace
            .clone()
            .unwrap_or_else(|| policy.namespace.clone()),
        name: reference.name.clone()?,
    })
}

pub(super) fn fault<S>(written: &Written<S>, kind: &'static str, message: String) -> Fault {
    Fault::Field {
        origin: written.origin.clone(),
        kind,
        name: written.name.clone(),
        message,
    }
}

/// The databases, the DataMaps and the policies about them.
type Read = (
    BTreeMap<Name, Target>,
    BTreeMap<Name, Vec<NamedMap>>,
    Vec<Promise>,
);

fn promises(manifests: &Manifests) -> Result<Read, Faults> {
    let mut faults = Vec::new();
    let mut targets = BTreeMap::new();
    for written in &manifests.databases {
        let name = Name {
            namespace: written.namespace.clone(),
            name: written.name.clone(),
        };
        match Target::parse(&written.spec) {
            Ok(target) => {
                targets.insert(name, target);
            }
            Err(all) => {
                let all = all.iter().map(ToString::to_string);
                faults.extend(all.map(|message| fault(written, DATABASE, message)));
            }
        }
    }
    let mut promises = Vec::new();
    for written in &manifests.policies {
        // A policy without a name for its database was refused when it was read.
        let Some(database) = database_of(written) else {
            continue;
        };
        let Some(target) = targets.get(&database) else {
            let message = not_among(&database, targets.keys());
            faults.push(fault(written, POLICY, message));
            continue;
        };
        match Mandate::parse(&written.spec, target) {
            Ok(mandate) => promises.push(Promise {
                name: Name {
                    namespace: written.namespace.clone(),
                    name: written.name.clone(),
                },
                spec: written.spec.clone(),
                mandate,
                database,
                target: target.clone(),
                hindrances: Vec::new(),
                approvals: approvals_of(written, manifests),
            }),
            Err(all) => {
                let all = all.iter().map(ToString::to_string);
                faults.extend(all.map(|message| fault(written, POLICY, message)));
            }
        }
    }
    let maps = data_maps::gather(manifests, &targets).unwrap_or_else(|found| {
        faults.extend(found.0);
        BTreeMap::new()
    });
    for promise in &mut promises {
        let maps = maps.get(&promise.database).cloned();
        promise.mandate.policy.maps = maps.unwrap_or_default();
    }
    if !faults.is_empty() {
        return Err(Faults(faults));
    }
    hinder(&mut promises, &manifests.supplies);
    Ok((targets, maps, promises))
}

pub(super) fn not_among<'n>(database: &Name, known: impl Iterator<Item = &'n Name>) -> String {
    let known: Vec<String> = known.map(ToString::to_string).collect();
    let remedy = if known.is_empty() {
        ": give its file with -f, or the database with --database-url".to_owned()
    } else {
        let known = known.join(", ");
        format!(", which have {known}: correct name and namespace, or give its file with -f")
    };
    format!("spec.databaseRef: the TargetDatabase {database} is not among the manifests{remedy}")
}

/// The Approvals of a policy, by name.
fn approvals_of(policy: &Written<RetentionPolicySpec>, manifests: &Manifests) -> Vec<String> {
    let of_it = manifests.approvals.iter().filter(|approval| {
        let target = approval.spec.target_ref.as_ref();
        approval.namespace == policy.namespace
            && target.and_then(|target| target.name.as_ref()) == Some(&policy.name)
    });
    of_it.map(|approval| approval.name.clone()).collect()
}

/// Notes what stands in the way of each policy. One that may not use the database stands in nobody's.
fn hinder(promises: &mut [Promise], supplies: &Supplies) {
    for promise in promises.iter_mut() {
        promise.hindrances.extend(not_usable(promise, supplies));
    }
    let all = promises.to_vec();
    for promise in promises.iter_mut().filter(|p| p.hindrances.is_empty()) {
        let others = all.iter().filter(|other| {
            other.name != promise.name
                && (other.database == promise.database
                    || other.target.place() == promise.target.place())
                && other.hindrances.is_empty()
        });
        let rules = Rules::of(&promise.mandate.policy);
        let mut found = Conflicts::default();
        for other in others {
            if let Some(overlap) = rules.overlap(&other.mandate.policy) {
                found.add(|| overlap.with(&other.name));
            }
        }
        let found = found.told().into_iter();
        let found = found.map(|message| Refusal::whole(Reason::Conflict, message));
        promise.hindrances.extend(found);
    }
}

fn not_usable(promise: &Promise, supplies: &Supplies) -> Option<Refusal> {
    let Promise {
        name,
        database,
        target,
        ..
    } = promise;
    refuses(target, database, &name.namespace, supplies)
}

/// Why a database may not be used from a namespace.
pub(super) fn refuses(
    target: &Target,
    database: &Name,
    from: &str,
    supplies: &Supplies,
) -> Option<Refusal> {
    let owner = &database.namespace;
    let labels = supplies.labels(from);
    // Fails closed: labels that are not known allow nothing.
    let asks = owner != from && matches!(target.usable_from, UsableFrom::Selector(_));
    let unknown = asks && labels.is_none();
    let none = BTreeMap::new();
    if !unknown
        && target
            .usable_from
            .allows(owner, from, labels.unwrap_or(&none))
    {
        return None;
    }
    let message =
        format!("the TargetDatabase {database} may not be used from the namespace {from}");
    let refusal = Refusal::whole(Reason::DatabaseNotUsable, message);
    Some(if unknown {
        refusal.remedy(format!(
            "its usableFrom asks for labels: give the manifest of the Namespace {from} with -f"
        ))
    } else {
        refusal
    })
}

#[cfg(test)]
mod tests;
