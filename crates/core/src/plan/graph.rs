//! The rows that hang on an expired row: every reference to it is decided, or the plan is refused
//! with the YAML that decides it (SQL.md section 3).

mod edge;
mod refuse;

use super::Refusal;
use super::draft::View;
use super::guard::{self, Touch};
use crate::api::reason::Reason;
use crate::catalog::{Catalog, Column, Table, TableKind};
use crate::name::{Ident, TableName};
use crate::policy::{Action, RelatedAction, Rule};
use crate::report;
use crate::sql::{Bound, Depth, Effect, Grip, Transform, Way};
use crate::strategy::Strategy;
use crate::value::Value;

use self::edge::Edge;
pub(crate) use self::edge::are_comparable;
pub use self::refuse::entry;

/// Rows whose references lead to related ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Above {
    /// The expired rows of the rule's table.
    Own,
    /// Those of a node.
    Node(usize),
}

/// One way to a node's rows.
#[derive(Clone, Debug)]
pub struct Link {
    /// Whose rows they hang on. Never empty.
    pub above: Vec<Above>,
    /// By which columns.
    pub way: Way,
    /// How a row lets go of what it refers to; `None`: no column of the reference may be NULL.
    pub cut: Option<Depth>,
    /// Whether the database checks the reference when rows above go.
    pub checked: bool,
}

/// What happens to related rows of one table: those that go over whatever references, or those that
/// one reference leads to and that stay.
#[derive(Clone, Debug)]
pub struct Node {
    /// The statements. With a key where rows can be reached more than once.
    pub depth: Depth,
    /// The ways to its rows; only one where its rows are not told apart by a key.
    pub links: Vec<Link>,
    /// Who deletes rows of the same table, where this node changes some that stay.
    pub beside: Option<Above>,
    /// Its rows are those of the rule's own table.
    pub own: bool,
    /// The nodes with the same number hang on each other.
    pub ring: Option<usize>,
    /// What is reported of its rows.
    pub effect: report::Effect,
    /// How often the engine counts a change of one row (see [`crate::sql::counted`]).
    pub counted: i64,
}

impl Node {
    /// Whether its rows go.
    pub fn goes(&self) -> bool {
        matches!(self.depth.effect, Effect::Delete)
    }

    /// The texts of its statements for one row.
    pub(super) fn statements(&self) -> Vec<Bound> {
        let nulls = |n: usize| [vec![Value::Null; n]];
        let key = nulls(self.depth.key.len());
        let change = |link: &Link| {
            let parents = nulls(link.way.pairs.len());
            if self.is_keyed() {
                self.depth.choose(&link.way, &parents)
            } else {
                self.depth.change(&link.way, &parents)
            }
        };
        let mut all: Vec<Bound> = self.links.iter().map(change).collect();
        if self.is_keyed() {
            let cuts = self.links.iter().filter_map(|link| link.cut.as_ref());
            all.extend(self.depth.copy(&key, ""));
            all.extend(cuts.map(|cut| cut.by_keys(&key)));
            all.push(self.depth.by_keys(&key));
        }
        all
    }

    /// Its statements and the way to its rows, where one leads from the rule's own rows, and none on from
    /// them. Only by a reference that the database checks: then none comes to a locked row.
    pub fn direct(&self) -> Option<(&Depth, &Way)> {
        let [link] = self.links.as_slice() else {
            return None;
        };
        let alone = !self.is_keyed() && self.ring.is_none() && self.beside.is_none();
        let ends = self.depth.referenced.is_empty() && link.above == [Above::Own];
        (alone && ends && link.checked && link.way.is_joined()).then_some((&self.depth, &link.way))
    }

    /// Whether its rows are told apart by their key.
    pub fn is_keyed(&self) -> bool {
        !self.depth.key.is_empty()
    }
}

/// Walks from the rule's table down. Nodes stand before those that hang on them, but for rings.
pub(super) fn nodes<'a>(
    view: View<'a>,
    rule: &'a Rule,
    root: &'a Table,
    refusals: &mut Vec<Refusal>,
) -> Vec<Node> {
    let edges = edge::edges(view.catalog, rule, root, refusals);
    let graph = Graph {
        view,
        rule,
        root,
        edges,
    };
    let before = refusals.len();
    graph.check(refusals);
    let nodes = graph.build(refusals);
    if refusals.len() > before {
        return Vec::new();
    }
    ordered(nodes)
}

struct Graph<'a> {
    view: View<'a>,
    rule: &'a Rule,
    root: &'a Table,
    edges: Vec<Edge<'a>>,
}

impl<'a> Graph<'a> {
    fn catalog(&self) -> &'a Catalog {
        self.view.catalog
    }

    /// Whether rows of the table go.
    fn goes(&self, table: &TableName) -> bool {
        let own = *table == self.root.name && matches!(self.rule.action, Action::Delete);
        let deletes = |edge: &Edge<'_>| edge.child.name == *table && edge.deletes();
        own || self.edges.iter().any(deletes)
    }

    /// Refuses what is undecided where rows go, and what no statement could carry out.
    fn check(&self, refusals: &mut Vec<Refusal>) {
        let mut tables = vec![self.root];
        for edge in &self.edges {
            if !tables.iter().any(|table| table.name == edge.child.name) {
                tables.push(edge.child);
            }
        }
        for table in tables.into_iter().filter(|table| self.goes(&table.name)) {
            self.through_partitions(table, refusals);
            let references = self.catalog().references.iter();
            for reference in references.filter(|reference| reference.to == table.name) {
                let decided = edge::decision(self.catalog(), self.rule, reference).is_some();
                if !decided && !edge::keeps(self.catalog(), self.rule, reference) {
                    let closes = self.is_above(&reference.from, &table.name);
                    refusals.push(refuse::undecided(self.rule, reference, closes));
                }
            }
        }
        for edge in &self.edges {
            edge.check(self.rule, self.goes(&edge.parent.name), refusals);
            if edge.child.name == self.root.name && !matches!(self.rule.action, Action::Delete) {
                refusals.push(Refusal::of(
                    &self.rule.name,
                    Reason::ReferenceUnsupported,
                    format!(
                        "related {} of {}: the rule's own rows stay, and what refers to them stays \
                         right: leave the entry out",
                        edge.child.name, edge.parent.name
                    ),
                ));
            }
        }
    }

    /// Whether a table's rows are reached on the way to another one's.
    fn is_above(&self, table: &TableName, below: &TableName) -> bool {
        let mut seen = vec![below];
        let mut open = vec![below];
        while let Some(at) = open.pop() {
            if at == table {
                return true;
            }
            for edge in self.edges.iter().filter(|edge| edge.child.name == *at) {
                if !seen.contains(&&edge.parent.name) {
                    seen.push(&edge.parent.name);
                    open.push(&edge.parent.name);
                }
            }
        }
        false
    }

    /// References to a table that shares rows with this one: the partitioned table it is a part of,
    /// or one of its own partitions. Their rows would go, too, and no decision names them.
    fn through_partitions(&self, table: &Table, refusals: &mut Vec<Refusal>) {
        let leaves = |table: &Table| match &table.kind {
            TableKind::Partitioned { leaves } => leaves.clone(),
            _ => vec![table.name.clone()],
        };
        let own = leaves(table);
        for reference in self
            .catalog()
            .references
            .iter()
            .filter(|r| r.to != table.name)
        {
            let shared = self
                .catalog()
                .tables
                .get(&reference.to)
                .is_some_and(|to| leaves(to).iter().any(|leaf| own.contains(leaf)));
            if shared {
                refusals.push(Refusal::of(
                    &self.rule.name,
                    Reason::ReferenceUnsupported,
                    format!(
                        "{} references {}, which shares rows with {}: write the rule for {}",
                        reference.from, reference.to, table.name, reference.to
                    ),
                ));
            }
        }
    }

    /// One node for the rows of a table that go, and one for each reference whose rows stay.
    fn build(&self, refusals: &mut Vec<Refusal>) -> Vec<Node> {
        let mut of: Vec<Vec<&Edge<'a>>> = Vec::new();
        for edge in &self.edges {
            let same = of.iter_mut().find(|edges| {
                edges[0].child.name == edge.child.name && edges[0].deletes() && edge.deletes()
            });
            match same {
                Some(edges) => edges.push(edge),
                None => of.push(vec![edge]),
            }
        }
        // Where rows of a table go, those are whom others hang on.
        let above = |table: &TableName| -> Vec<Above> {
            let at = |deletes: bool| {
                let of = of.iter().enumerate();
                of.filter(|(_, edges)| {
                    edges[0].child.name == *table && edges[0].deletes() == deletes
                })
                .map(|(index, _)| Above::Node(index))
                .collect::<Vec<_>>()
            };
            match at(true) {
                going if !going.is_empty() => going,
                _ if *table == self.root.name => vec![Above::Own],
                _ => at(false),
            }
        };
        let mut nodes = Vec::new();
        for edges in &of {
            let Edge { child, .. } = edges[0];
            let (touch, detach) = self.touch(edges[0], refusals);
            let own = child.name == self.root.name;
            if !(own && edges[0].deletes()) {
                guard::table(self.view, self.rule, child, &touch, detach, refusals);
            }
            let links = edges.iter().map(|edge| Link {
                above: above(&edge.parent.name),
                way: edge.way(),
                cut: self.cut(edge),
                checked: edge.reference.is_some_and(|reference| reference.enforced),
            });
            let beside = above(&child.name).first().copied();
            let goes = self.goes(&child.name);
            let mut depth = self.depth(child, &touch);
            let seals = edges.iter().filter(|edge| edge.seals()).count();
            if seals > 0 && seals < edges.len() {
                refusals.push(refuse::half_sealed(self.rule, child));
            } else if seals > 0 {
                let mut told = Vec::new();
                depth.seal = super::seal::sealed(self.view, self.rule, child, &mut told);
                // Of the rule's own table the rule tells.
                refusals.extend(told.into_iter().filter(|_| !own));
            } else if own && edges[0].deletes() && self.rule.seal.is_some() {
                refusals.push(refuse::half_sealed(self.rule, child));
            }
            nodes.push(Node {
                links: links.collect(),
                beside: beside.filter(|_| goes && !edges[0].deletes()),
                own: own && edges[0].deletes(),
                ring: None,
                effect: if detach {
                    report::Effect::Detached
                } else if depth.seal.is_some() {
                    report::Effect::Sealed
                } else {
                    touch.reported()
                },
                counted: crate::sql::counted(self.catalog().engine, child),
                depth,
            });
        }
        self.tell_apart(&mut nodes, refusals);
        nodes
    }

    fn depth(&self, table: &Table, touch: &Touch) -> Depth {
        Depth {
            engine: self.catalog().engine,
            table: table.name.clone(),
            with_leaves: table.has_leaves(),
            key: Vec::new(),
            effect: match touch.clone() {
                Touch::Delete => Effect::Delete,
                Touch::Update(t) => Effect::Update(t, super::column::untouched(table)),
            },
            referenced: Vec::new(),
            grips: Vec::new(),
            seal: None,
        }
    }

    fn touch(&self, edge: &Edge<'_>, refusals: &mut Vec<Refusal>) -> (Touch, bool) {
        match &edge.related.action {
            RelatedAction::Delete | RelatedAction::Seal => (Touch::Delete, false),
            RelatedAction::Anonymise(treatments) => {
                let transforms = super::column::transforms(
                    self.rule,
                    self.catalog().engine,
                    edge.child,
                    treatments,
                    refusals,
                );
                if self.goes(&edge.parent.name) {
                    refusals.extend(edge.keeps_its_link(self.rule, &transforms));
                }
                (Touch::Update(transforms), false)
            }
            RelatedAction::Detach => (Touch::Update(nullified(edge.nullable())), true),
        }
    }

    /// How rows let go of what they refer to.
    fn cut(&self, edge: &Edge<'_>) -> Option<Depth> {
        let columns = edge.nullable();
        let touch = Touch::Update(nullified(columns));
        matches!(&touch, Touch::Update(columns) if !columns.is_empty())
            .then(|| self.depth(edge.child, &touch))
    }

    /// Gives a key to the tables whose rows can be reached more than once, and finds the rings.
    fn tell_apart(&self, nodes: &mut [Node], refusals: &mut Vec<Refusal>) {
        let reach = reach(nodes);
        for index in 0..nodes.len() {
            let ring = (0..nodes.len()).find(|&j| reach[index][j] && reach[j][index]);
            let node = &mut nodes[index];
            node.ring = ring;
            if ring.is_some() && !node.goes() {
                refusals.push(Refusal::of(
                    &self.rule.name,
                    Reason::ReferenceUnsupported,
                    format!(
                        "related {}: its rows stay, and entries lead from them back to themselves: \
                         leave out what hangs on them",
                        node.depth.table
                    ),
                ));
            }
            let shared = node.links.len() > 1 || ring.is_some() || node.beside.is_some();
            // What is copied goes by its key, so that nothing else goes.
            if shared || node.own || node.depth.seal.is_some() {
                self.key(node, refusals);
            }
        }
        // Rows that go are told apart where some of the same table might stay.
        for index in 0..nodes.len() {
            if let Some(Above::Node(beside)) = nodes[index].beside {
                self.key(&mut nodes[beside], refusals);
            }
        }
    }

    fn key(&self, node: &mut Node, refusals: &mut Vec<Refusal>) {
        let Some(table) = self.catalog().tables.get(&node.depth.table) else {
            return;
        };
        if node.is_keyed() {
            return;
        }
        match guard::usable_key(self.rule, table) {
            Ok((key, _)) => {
                for link in &mut node.links {
                    if let Some(cut) = &mut link.cut {
                        cut.key.clone_from(&key);
                    }
                }
                node.depth.key = key;
            }
            Err(refusal) => refusals.push(refusal),
        }
    }
}

fn nullified<'c>(columns: impl IntoIterator<Item = &'c Column>) -> Vec<Transform> {
    let each = columns.into_iter().map(|column| Transform {
        column: column.clone(),
        strategy: Strategy::Nullify,
    });
    each.collect()
}

/// Which nodes' rows hang on which, at any depth.
fn reach(nodes: &[Node]) -> Vec<Vec<bool>> {
    let mut reach = vec![vec![false; nodes.len()]; nodes.len()];
    for (below, node) in nodes.iter().enumerate() {
        for above in node.links.iter().flat_map(|link| &link.above) {
            if let Above::Node(above) = above {
                reach[*above][below] = true;
            }
        }
    }
    for middle in 0..nodes.len() {
        for above in 0..nodes.len() {
            for below in 0..nodes.len() {
                reach[above][below] |= reach[above][middle] && reach[middle][below];
            }
        }
    }
    reach
}

/// Brings the nodes into an order in which they stand before those that hang on them. Those of a
/// ring stand together.
fn ordered(nodes: Vec<Node>) -> Vec<Node> {
    let reach = reach(&nodes);
    let mut order: Vec<usize> = Vec::with_capacity(nodes.len());
    let alike = |a: usize, b: usize| a == b || reach[a][b] && reach[b][a];
    while order.len() < nodes.len() {
        let open: Vec<usize> = (0..nodes.len()).filter(|i| !order.contains(i)).collect();
        let free = |i: &&usize| open.iter().all(|&j| !reach[j][**i] || alike(j, **i));
        let Some(&next) = open.iter().find(free) else {
            break;
        };
        order.extend(open.iter().filter(|&&j| alike(j, next)));
    }
    let place = |above: &mut Above| {
        if let Above::Node(index) = above {
            *index = order.iter().position(|i| i == index).unwrap_or(*index);
        }
    };
    let mut nodes: Vec<Option<Node>> = nodes.into_iter().map(Some).collect();
    let sorted = order.iter().filter_map(|&i| nodes[i].take());
    let mut sorted: Vec<Node> = sorted.collect();
    for node in &mut sorted {
        node.links
            .iter_mut()
            .flat_map(|l| &mut l.above)
            .for_each(place);
        node.beside.as_mut().map(place);
        node.ring = node
            .ring
            .and_then(|ring| order.iter().position(|&i| i == ring));
    }
    sorted
}

/// Notes at every table which columns the tables below refer to; the rule's own are returned.
pub(super) fn refer(nodes: &mut [Node]) -> Vec<Column> {
    let mut own = Vec::new();
    for index in 0..nodes.len() {
        for link in nodes[index].links.clone() {
            for (above, (_, column)) in link
                .above
                .iter()
                .flat_map(|above| link.way.pairs.iter().map(move |pair| (above, pair)))
            {
                match above {
                    Above::Own => add(&mut own, column),
                    Above::Node(above) => add(&mut nodes[*above].depth.referenced, column),
                }
            }
        }
    }
    // The expired rows are told from the others of their table by their key alone.
    if let Some(node) = nodes.iter().find(|node| node.own) {
        own.clone_from(&node.depth.referenced);
    }
    own
}

/// Takes hold of the rows of a table by every unique key beside the primary one that foreign keys
/// refer to; the key's columns are read with the rows.
pub(super) fn grip(
    catalog: &Catalog,
    table: &TableName,
    referenced: &mut Vec<Column>,
) -> Vec<Grip> {
    let Some(table) = catalog.tables.get(table) else {
        return Vec::new();
    };
    let sorted = |names: &[Ident]| {
        let mut names = names.to_vec();
        names.sort();
        names
    };
    let mut wanted: Vec<Vec<Ident>> = catalog
        .references
        .iter()
        .filter(|reference| catalog.engine.is_innodb() && reference.to == table.name)
        .map(|reference| sorted(&reference.to_columns))
        .filter(|columns| *columns != sorted(&table.primary_key))
        .collect();
    wanted.sort();
    wanted.dedup();
    let grips = wanted.iter().filter_map(|wanted| {
        let index = table
            .indexes
            .iter()
            .find(|index| index.unique && sorted(&index.columns) == *wanted)?;
        let columns: Option<Vec<Column>> = index
            .columns
            .iter()
            .map(|name| table.column(name).cloned())
            .collect();
        Some(Grip {
            engine: catalog.engine,
            table: table.name.clone(),
            columns: columns?,
            index: index.name.parse().ok()?,
        })
    });
    let grips: Vec<Grip> = grips.collect();
    for column in grips.iter().flat_map(|grip| &grip.columns) {
        add(referenced, column);
    }
    grips
}

fn add(columns: &mut Vec<Column>, column: &Column) {
    if !columns.iter().any(|c| c.name == column.name) {
        columns.push(column.clone());
    }
}

#[cfg(test)]
mod tests;
