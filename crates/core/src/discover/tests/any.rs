//! Catalogs that nobody would make, for what holds of every proposal.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// Names on which YAML, SQL or a comment could stumble, and such as say something.
const TRAPS: [&str; 30] = [
    "no",
    "on",
    "y",
    "Null",
    "1e3",
    "~",
    "a: b",
    "a #b",
    "it's",
    "say \"x\"",
    "`tick`",
    "UPPER",
    "with blank",
    " ",
    "-",
    "größe",
    "名前",
    "{a}",
    "[b]",
    "a,b",
    "&a",
    "*a",
    "!t",
    "%",
    "@x",
    "email",
    "phone",
    "person_id",
    "body",
    "\u{2028}",
];

fn any_name() -> impl Strategy<Value = String> {
    let odd = prop::collection::vec(
        any::<char>().prop_filter("control", |c| !c.is_control()),
        1..9,
    );
    prop_oneof![
        4 => prop::sample::select(&TRAPS[..]).prop_map(str::to_owned),
        1 => odd.prop_map(String::from_iter),
    ]
}

type AnyColumn = (String, ColumnKind, bool, bool, Option<u64>);

fn any_column() -> impl Strategy<Value = AnyColumn> {
    let kinds = [
        ColumnKind::Int,
        ColumnKind::Text,
        ColumnKind::Uuid,
        ColumnKind::Date,
        ColumnKind::Bytes,
        ColumnKind::Json,
        ColumnKind::Bool,
        ColumnKind::Float,
        ColumnKind::Enum,
        ColumnKind::Other,
    ];
    (
        any_name(),
        prop::sample::select(kinds.to_vec()),
        any::<bool>(),
        any::<bool>(),
        prop::option::of(1_u64..50),
    )
}

/// Tables with names, columns, and how many of these are the key.
type AnyTable = (String, Vec<AnyColumn>, usize);

fn built(tables: Vec<AnyTable>, references: &[[usize; 5]], engine: Engine) -> Catalog {
    let mut seen = BTreeSet::new();
    let mut built = Vec::new();
    for (called, columns, keys) in tables {
        if !seen.insert(called.clone()) {
            continue;
        }
        let mut made = table("made", &[], 1);
        made.name = TableName::qualified(ident("crm"), ident(&called));
        made.columns.clear();
        made.indexes.clear();
        for (called, kind, nullable, unique, length) in columns {
            if made
                .columns
                .iter()
                .any(|known| known.name.as_str() == called)
            {
                continue;
            }
            let mut column = column(&called, kind);
            column.nullable = nullable;
            column.max_length = length.filter(|_| kind == ColumnKind::Text);
            column.type_name = format!("{kind:?}");
            if unique {
                made.indexes.push(unique_index(&called));
            }
            made.columns.push(column);
        }
        let key = made
            .columns
            .iter()
            .take(keys)
            .map(|column| column.name.clone());
        made.primary_key = key.collect();
        built.push(made);
    }
    let some = |of: usize, place: usize, count: usize| -> Vec<Ident> {
        let columns = &built[of % built.len()].columns;
        let names = (place..place + count).map(|place| &columns[place % columns.len()].name);
        names
            .collect::<BTreeSet<_>>()
            .into_iter()
            .cloned()
            .collect()
    };
    let references = references.iter().enumerate().map(|(number, way)| {
        let [from, to, own, other, count] = *way;
        let (mut own, mut other) = (some(from, own, count), some(to, other, count));
        let pairs = own.len().min(other.len());
        own.truncate(pairs);
        other.truncate(pairs);
        Reference {
            name: format!("r{number}"),
            from: built[from % built.len()].name.clone(),
            from_columns: own,
            to: built[to % built.len()].name.clone(),
            to_columns: other,
            ..reference("a.b -> c")
        }
    });
    let references = references.collect();
    let mut catalog = catalog(built, Vec::new());
    catalog.references = references;
    catalog.engine = engine;
    catalog
}

/// The tables that hang on one over references that can be written, at any depth.
fn hanging<'c>(catalog: &'c Catalog, on: &'c TableName) -> BTreeSet<&'c TableName> {
    let mut found = BTreeSet::from([on]);
    let written = |names: &[Ident]| names.iter().all(|name| !name.as_str().trim().is_empty());
    loop {
        let before = found.len();
        for r in &catalog.references {
            if found.contains(&r.to) && written(&r.from_columns) && written(&r.to_columns) {
                found.insert(&r.from);
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

/// How often each table is reached from a role.
fn reached<'m>(map: &'m DataMap, role: &str) -> BTreeMap<&'m TableName, usize> {
    let mut names: BTreeSet<&str> = BTreeSet::new();
    loop {
        let before = names.len();
        for entry in &map.tables {
            let comes = entry
                .reached
                .as_ref()
                .unwrap()
                .ways
                .iter()
                .any(|way| match way {
                    Way::Role(from) | Way::OfRole(from, _) => from == role,
                    Way::OfEntry(from, _) => names.contains(from.as_str()),
                    Way::Own(_) => false,
                });
            if comes {
                names.insert(&entry.name);
            }
        }
        if names.len() == before {
            break;
        }
    }
    let mut counts = BTreeMap::new();
    for entry in map
        .tables
        .iter()
        .filter(|entry| names.contains(entry.name.as_str()))
    {
        *counts.entry(&entry.table).or_default() += 1;
    }
    counts
}

proptest! {
    #[test]
    fn every_proposal_can_be_read_and_names_what_is_there_once_for_each_role(
        tables in prop::collection::vec(
            (any_name(), prop::collection::vec(any_column(), 1..6), 0_usize..3),
            1..7,
        ),
        references in prop::collection::vec(
            [0_usize..7, 0..7, 0..6, 0..6, 1..4],
            0..14,
        ),
        engine in prop::sample::select(&[Engine::Postgres, Engine::MySql, Engine::MariaDb][..]),
        roles in 1_usize..3,
    ) {
        let mut catalog = built(tables, &references, engine);
        let subjects: Vec<TableName> = catalog.tables.keys().take(roles).cloned().collect();
        let ground = Ground::of(&catalog);
        let found = match Discovery::of(&ground, &subjects) {
            Ok(found) => found,
            Err(Undiscovered::Nobody(name, _)) => {
                prop_assert!(identifiers::of(&catalog.tables[&name]).is_empty());
                return Ok(());
            }
            Err(other) => panic!("{other}"),
        };
        let text = found.text(None, "crm");
        let map = read(&text, engine);
        fits(&map, &catalog);
        for (role, table) in map.people.roles.iter().zip(&subjects) {
            let counts = reached(&map, &role.name);
            prop_assert!(counts.values().all(|count| *count == 1), "{counts:?}\n{text}");
            for name in hanging(&catalog, table) {
                prop_assert!(counts.contains_key(name), "{name} from {table}\n{text}");
            }
        }
        // The order in which a server tells of its references is none.
        catalog.references.reverse();
        let ground = Ground::of(&catalog);
        let again = Discovery::of(&ground, &subjects).map(|found| found.text(None, "crm"));
        prop_assert_eq!(again, Ok(text));
    }
}
