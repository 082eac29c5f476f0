//! The work tables. Data only: what a table looks like, what of it is due, which rule says so, and what
//! somebody would type to do the same.

use super::work::{Layout, Partitions, Race, Table};
use super::{Who, Work};

/// How a piece of work is laid out. `None`: it is not about tables of one server alone.
pub fn layout(work: Work) -> Option<&'static Layout> {
    match work {
        Work::DeleteNarrow => Some(&NARROW),
        Work::DeleteNarrowIndexed => Some(&NARROW_INDEXED),
        Work::DeleteNarrowCorrelated => Some(&NARROW_CORRELATED),
        Work::DeleteWide => Some(&WIDE),
        Work::DeleteWideFew => Some(&WIDE_FEW),
        Work::DeleteGraph => Some(&GRAPH),
        Work::DeletePartitioned => Some(&PARTITIONED),
        Work::DeletePartitions => Some(&PARTITIONS),
        Work::DeleteUnless => Some(&UNLESS),
        Work::DeleteNewestChild => Some(&NEWEST_CHILD),
        Work::Anonymise => Some(&ANONYMISE),
        Work::OrderEntry => Some(&ORDER_ENTRY),
        Work::Subjects | Work::Memory | Work::Operator => None,
    }
}

/// Rows of 100 bytes.
const NARROW_TABLE: Table = Table {
    name: "narrow",
    columns: "id bigint NOT NULL, ended_at {instant} NULL, kind integer NOT NULL, \
              note varchar(100) NOT NULL",
    key: &["id"],
    others: &["ended_at", "kind", "note"],
    changed: &[],
    indexes: &[],
    references: &[],
    partitions: None,
    rows: "SELECT n, {then}, n % 7, {of_70} FROM {scattered}",
    times: 1,
    kept: "ended_at >= {cutoff}",
    some: "id <= 2000",
};

/// A row of the rule's own table gets another date.
const RACE: Race = Race {
    pick: "SELECT max(id) FROM {s}{t} WHERE {due} AND id <= 1000",
    renew: &["UPDATE {s}{t} SET ended_at = current_timestamp WHERE id = {1}"],
    spared: "SELECT count(*) FROM {s}{t} WHERE id = {1}",
};

/// Of a table whose clock is its own and whose key is `id`.
const NARROW: Layout = Layout {
    tables: &[NARROW_TABLE],
    due: "ended_at < {cutoff}",
    rule: "expireAfter: P1Y, since: {column: ended_at}, action: {type: Delete}",
    by_hand: &["DELETE FROM {s}{t} WHERE {due}"],
    one: "DELETE FROM {s}{t} WHERE id = ",
    race: Some(RACE),
    others: &[
        Who::BareWalk,
        Who::LoopLimit,
        Who::InSelectLimit,
        Who::RowByRow,
    ],
    is_large: true,
};

const NARROW_INDEXED: Layout = Layout {
    tables: &[Table {
        indexes: &[("narrow_ended_at", "ended_at")],
        ..NARROW_TABLE
    }],
    others: &[Who::LoopLimit, Who::InSelectLimit],
    is_large: false,
    ..NARROW
};

const NARROW_CORRELATED: Layout = Layout {
    tables: &[Table {
        indexes: &[("narrow_ended_at", "ended_at")],
        rows: "SELECT n, {then}, n % 7, {of_70} FROM {ordered}",
        ..NARROW_TABLE
    }],
    others: &[],
    is_large: false,
    ..NARROW
};

/// Rows of 300 bytes. An application changes `seen`, of which nothing is checked.
const WIDE_TABLE: Table = Table {
    name: "wide",
    columns: "id bigint NOT NULL, learner_id bigint NOT NULL, course_id integer NOT NULL, \
              status integer NOT NULL, created_at {instant} NULL, ended_at {instant} NULL, \
              email varchar(100) NULL, full_name varchar(100) NULL, note varchar(200) NULL, \
              seen integer NOT NULL",
    key: &["id"],
    others: &[
        "learner_id",
        "course_id",
        "status",
        "created_at",
        "ended_at",
        "email",
        "full_name",
        "note",
    ],
    indexes: &[
        ("wide_learner", "learner_id"),
        ("wide_created_at", "created_at"),
        ("wide_ended_at", "ended_at"),
        ("wide_course", "course_id, status"),
    ],
    rows: "SELECT n, n * 31 % 500009, n % 211, n % 5, {then} - INTERVAL '90' DAY, {then}, \
           concat('person', n, '@example.org'), concat('A Person of the Number ', n), \
           concat({of_70}, {of_70}), 0 FROM {scattered}",
    ..NARROW_TABLE
};

const WIDE: Layout = Layout {
    tables: &[WIDE_TABLE],
    others: &[],
    is_large: false,
    ..NARROW
};

const WIDE_FEW: Layout = Layout {
    tables: &[Table {
        rows: "SELECT n, n * 31 % 500009, n % 211, n % 5, {then} - INTERVAL '90' DAY, {then}, \
               concat('person', n, '@example.org'), concat('A Person of the Number ', n), \
               concat({of_70}, {of_70}), 0 FROM {few}",
        ..WIDE_TABLE
    }],
    ..WIDE
};

const ANONYMISE: Layout = Layout {
    tables: &[Table {
        others: &[
            "learner_id",
            "course_id",
            "status",
            "created_at",
            "ended_at",
        ],
        changed: &["email", "full_name", "note"],
        ..WIDE_TABLE
    }],
    rule: "expireAfter: P1Y, since: {column: ended_at}, action: {type: Anonymise, columns: [\
           {column: email, strategy: Pseudonym}, {column: full_name, strategy: Nullify}, \
           {column: note, strategy: Nullify}]}",
    by_hand: &["UPDATE {s}{t} SET email = {pseudonym}, full_name = NULL, note = NULL WHERE {due}"],
    one: "UPDATE {s}{t} SET email = {pseudonym}, full_name = NULL, note = NULL WHERE id = ",
    race: Some(Race {
        spared: "SELECT count(*) FROM {s}{t} WHERE id = {1} AND full_name IS NOT NULL",
        ..RACE
    }),
    others: &[Who::RowByRow],
    is_large: false,
    ..NARROW
};

const PARTITIONED: Layout = Layout {
    tables: &[Table {
        name: "spread",
        partitions: Some(Partitions::Hash),
        ..NARROW_TABLE
    }],
    others: &[],
    is_large: false,
    ..NARROW
};

const PARTITIONS: Layout = Layout {
    tables: &[Table {
        name: "visits",
        columns: "id bigint NOT NULL, held_on date NOT NULL, kind integer NOT NULL, \
                  note varchar(100) NOT NULL",
        key: &["id", "held_on"],
        others: &["kind", "note"],
        partitions: Some(Partitions::Years),
        rows: "SELECT n, CASE WHEN d < 400 THEN DATE '2017-01-01' + {days(}3 * d{)days} \
               ELSE current_date - {days(}(d - 400) {div} 4{)days} END, n % 7, {of_70} FROM {scattered}",
        kept: "held_on >= DATE '2021-01-01'",
        ..NARROW_TABLE
    }],
    due: "held_on < DATE '2021-01-01'",
    rule: "expireAfter: P1Y, since: {column: held_on}, partitions: Whole, action: {type: Delete}",
    // The clock of a row is the partition in which it is.
    race: None,
    others: &[],
    is_large: false,
    ..NARROW
};

/// Parents, of which two children each hang.
const GRAPH: Layout = Layout {
    tables: &[
        Table {
            name: "parents",
            indexes: &[("parents_ended_at", "ended_at")],
            ..NARROW_TABLE
        },
        Table {
            name: "children",
            columns: "id bigint NOT NULL, parent_id bigint NOT NULL, note varchar(100) NOT NULL",
            others: &["parent_id", "note"],
            indexes: &[("children_parent", "parent_id")],
            references: &[
                "ADD CONSTRAINT children_of_parent FOREIGN KEY (parent_id) REFERENCES {s}parents (id)",
            ],
            rows: "SELECT n, (n + 1) {div} 2, {of_70} FROM {s}numbers WHERE n <= {1}",
            times: 2,
            kept: "EXISTS (SELECT 1 FROM {s}parents_all AS p WHERE p.id = parent_id AND p.ended_at >= {cutoff})",
            some: "parent_id <= 2000",
            ..NARROW_TABLE
        },
    ],
    rule: "expireAfter: P1Y, since: {column: ended_at}, action: {type: Delete}, related: [\
           {table: oubliette_bench.children, of: oubliette_bench.parents, \
           match: [{column: parent_id, equals: id}], action: {type: Delete}}]",
    by_hand: &[
        "DELETE FROM {s}children WHERE parent_id IN (SELECT id FROM {s}parents WHERE {due})",
        "DELETE FROM {s}parents WHERE {due}",
    ],
    others: &[],
    is_large: false,
    ..NARROW
};

/// Every third row has one that keeps it.
const UNLESS: Layout = Layout {
    tables: &[
        Table {
            name: "enquiries",
            indexes: &[("enquiries_ended_at", "ended_at")],
            kept: "ended_at >= {cutoff} OR id % 3 = 0",
            ..NARROW_TABLE
        },
        Table {
            name: "learners",
            columns: "id bigint NOT NULL, enquiry_id bigint NOT NULL",
            others: &["enquiry_id"],
            indexes: &[("learners_enquiry", "enquiry_id")],
            rows: "SELECT n, n FROM {s}numbers WHERE n <= {1} AND n % 3 = 0",
            kept: "1 = 1",
            some: "enquiry_id <= 2000",
            ..NARROW_TABLE
        },
    ],
    due: "ended_at < {cutoff} AND NOT EXISTS (SELECT 1 FROM {s}learners AS l WHERE l.enquiry_id = {t}.id)",
    rule: "expireAfter: P1Y, since: {column: ended_at}, action: {type: Delete}, unless: [\
           {table: oubliette_bench.learners, match: [{column: enquiry_id, equals: id}]}]",
    race: Some(Race {
        renew: &[
            "UPDATE {s}{t} SET kind = kind + 1 WHERE id = {1}",
            "INSERT INTO {s}learners (id, enquiry_id) VALUES ({1}, {1})",
        ],
        ..RACE
    }),
    others: &[],
    is_large: false,
    ..NARROW
};

/// Two children each, of which the newer one decides. What stays is asked by their keys: the tables that are
/// copied have no other index.
const NEWEST_CHILD: Layout = Layout {
    tables: &[
        Table {
            name: "people",
            columns: "id bigint NOT NULL, joined_at {instant} NULL, kind integer NOT NULL, \
                      note varchar(100) NOT NULL",
            others: &["joined_at", "kind", "note"],
            rows: "SELECT n, current_timestamp, n % 7, {of_70} FROM {s}numbers WHERE n <= {1}",
            kept: "(EXISTS (SELECT 1 FROM {s}courses_all AS c WHERE c.id = {t}_all.id * 2 AND c.ended_at >= {cutoff}) \
                   OR EXISTS (SELECT 1 FROM {s}courses_all AS c WHERE c.id = {t}_all.id * 2 - 1 AND c.ended_at >= {cutoff}))",
            ..NARROW_TABLE
        },
        Table {
            name: "courses",
            columns: "id bigint NOT NULL, person_id bigint NOT NULL, ended_at {instant} NULL",
            others: &["person_id", "ended_at"],
            indexes: &[("courses_person", "person_id, ended_at")],
            references: &[
                "ADD CONSTRAINT courses_of_person FOREIGN KEY (person_id) REFERENCES {s}people (id)",
            ],
            rows: "SELECT n * 2 - k, n, {then} - {days(}k{)days} FROM {scattered} CROSS JOIN (SELECT 0 AS k UNION ALL SELECT 1) AS twice",
            kept: "(EXISTS (SELECT 1 FROM {s}courses_all AS c WHERE c.id = {t}_all.person_id * 2 AND c.ended_at >= {cutoff}) \
                   OR EXISTS (SELECT 1 FROM {s}courses_all AS c WHERE c.id = {t}_all.person_id * 2 - 1 AND c.ended_at >= {cutoff}))",
            some: "person_id <= 2000",
            ..NARROW_TABLE
        },
    ],
    due: "EXISTS (SELECT 1 FROM {s}courses AS c WHERE c.person_id = {t}.id) \
          AND NOT EXISTS (SELECT 1 FROM {s}courses AS c WHERE c.person_id = {t}.id \
          AND (c.ended_at IS NULL OR c.ended_at >= {cutoff}))",
    rule: "expireAfter: P1Y, since: {latest: {table: oubliette_bench.courses, \
           match: [{column: person_id, equals: id}], column: ended_at}, \
           otherwise: {column: joined_at}}, action: {type: Delete}, \
           related: [{table: oubliette_bench.courses, of: oubliette_bench.people, \
           match: [{column: person_id, equals: id}], action: {type: Delete}}]",
    by_hand: &[
        "DELETE FROM {s}courses WHERE person_id IN (SELECT person_id FROM (SELECT person_id FROM {s}courses \
         GROUP BY person_id HAVING max(ended_at) < {cutoff}) AS old)",
        "DELETE FROM {s}people WHERE NOT EXISTS (SELECT 1 FROM {s}courses AS c WHERE c.person_id = people.id)",
    ],
    race: Some(Race {
        renew: &[
            "UPDATE {s}{t} SET kind = kind + 1 WHERE id = {1}",
            "INSERT INTO {s}courses (id, person_id, ended_at) VALUES ({1} + 1000000000, {1}, current_timestamp)",
        ],
        ..RACE
    }),
    others: &[],
    is_large: false,
    ..NARROW
};

/// Orders of customers with their lines, all keys of several columns.
const ORDER_ENTRY: Layout = Layout {
    tables: &[
        Table {
            name: "orders",
            columns: "customer_id bigint NOT NULL, number integer NOT NULL, ended_at {instant} NULL, \
                      status integer NOT NULL, note varchar(100) NOT NULL",
            key: &["customer_id", "number"],
            others: &["ended_at", "status", "note"],
            indexes: &[("orders_ended_at", "ended_at")],
            rows: "SELECT (n + 3) {div} 4, n % 4 + 1, {then}, n % 5, {of_70} FROM {scattered}",
            some: "customer_id <= 500",
            ..NARROW_TABLE
        },
        Table {
            name: "order_lines",
            columns: "customer_id bigint NOT NULL, number integer NOT NULL, line integer NOT NULL, \
                      article bigint NOT NULL, pieces integer NOT NULL",
            key: &["customer_id", "number", "line"],
            others: &["article", "pieces"],
            indexes: &[("order_lines_article", "article")],
            references: &[
                "ADD CONSTRAINT lines_of_order FOREIGN KEY (customer_id, number) REFERENCES {s}orders (customer_id, number)",
            ],
            rows: "SELECT (n + 3) {div} 4, n % 4 + 1, k, n * 17 % 9973, k FROM {s}numbers \
                   CROSS JOIN (SELECT 1 AS k UNION ALL SELECT 2 UNION ALL SELECT 3) AS thrice WHERE n <= {1}",
            kept: "EXISTS (SELECT 1 FROM {s}orders_all AS o WHERE o.customer_id = {t}_all.customer_id \
                   AND o.number = {t}_all.number AND o.ended_at >= {cutoff})",
            some: "customer_id <= 500",
            ..NARROW_TABLE
        },
    ],
    rule: "expireAfter: P1Y, since: {column: ended_at}, action: {type: Delete}, related: [\
           {table: oubliette_bench.order_lines, of: oubliette_bench.orders, \
           match: [{column: customer_id, equals: customer_id}, {column: number, equals: number}], \
           action: {type: Delete}}]",
    by_hand: &[
        "DELETE FROM {s}order_lines WHERE (customer_id, number) IN (SELECT customer_id, number \
         FROM {s}orders WHERE {due})",
        "DELETE FROM {s}orders WHERE {due}",
    ],
    race: Some(Race {
        pick: "SELECT max(customer_id) FROM {s}{t} WHERE {due} AND number = 1 AND customer_id <= 250",
        renew: &[
            "UPDATE {s}{t} SET ended_at = current_timestamp WHERE customer_id = {1} AND number = 1",
        ],
        spared: "SELECT count(*) FROM {s}{t} WHERE customer_id = {1} AND number = 1",
    }),
    others: &[],
    is_large: false,
    ..NARROW
};
