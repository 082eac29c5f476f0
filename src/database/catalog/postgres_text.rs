//! The statements that read PostgreSQL's catalog: `pg_catalog` only, which hides nothing from
//! anybody. Texts work from version 13 on; what came later is looked up through `to_jsonb`.

/// Every table that is not the system's, temporary or a partition.
pub(super) const ALL_TABLES: &str = r"
SELECT n.nspname, c.relname
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
    AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
ORDER BY n.nspname, c.relname
";

/// Which tables: `$1` is a JSON list of `{"s": schema, "t": table}`.
///
/// From the wanted tables to everything that references them at any depth, through partitions and
/// inheritance in both directions; then what those reference themselves, one step.
pub(super) const TABLES: &str = r"
WITH RECURSIVE wanted AS (
    SELECT c.oid
    FROM pg_catalog.jsonb_to_recordset($1::pg_catalog.jsonb)
        AS w(s pg_catalog.text, t pg_catalog.text)
    JOIN pg_catalog.pg_namespace n ON n.nspname = w.s
    JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = w.t
    WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S')
), reached AS (
    SELECT oid FROM wanted
    UNION
    SELECT further.oid
    FROM reached
    CROSS JOIN LATERAL (
        SELECT conrelid AS oid FROM pg_catalog.pg_constraint
        WHERE contype = 'f' AND confrelid = reached.oid
        UNION ALL
        SELECT inhrelid FROM pg_catalog.pg_inherits WHERE inhparent = reached.oid
        UNION ALL
        SELECT inhparent FROM pg_catalog.pg_inherits WHERE inhrelid = reached.oid
    ) further
), everything AS (
    SELECT oid FROM reached
    UNION
    SELECT confrelid FROM pg_catalog.pg_constraint
    WHERE contype = 'f' AND conrelid IN (SELECT oid FROM reached)
)
SELECT c.oid::pg_catalog.int8, n.nspname, c.relname, c.relkind::pg_catalog.text,
    c.relpersistence::pg_catalog.text, c.relispartition,
    (SELECT COALESCE(pg_catalog.jsonb_agg(i.inhparent::pg_catalog.int8), '[]')::pg_catalog.text
        FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid),
    CASE WHEN c.relkind IN ('r', 'm', 'p', 'f')
        THEN pg_catalog.row_security_active(c.oid) ELSE false END,
    CASE WHEN c.relkind NOT IN ('r', 'm') THEN 0
        WHEN c.relpages > 0 AND c.reltuples >= 0 THEN
            (c.reltuples / c.relpages * size.pages)::pg_catalog.int8
        ELSE size.pages * 100 END,
    pg_catalog.has_schema_privilege(n.oid, 'USAGE')
        AND c.relkind IN ('r', 'p', 'f', 'v', 'm')
        AND pg_catalog.has_table_privilege(c.oid, 'SELECT'),
    pg_catalog.has_schema_privilege(n.oid, 'USAGE')
        AND c.relkind IN ('r', 'p', 'f', 'v', 'm')
        AND pg_catalog.has_table_privilege(c.oid, 'DELETE'),
    pg_catalog.has_schema_privilege(n.oid, 'USAGE')
        AND c.relkind IN ('r', 'p', 'f', 'v', 'm')
        AND pg_catalog.has_table_privilege(c.oid, 'INSERT'),
    pg_catalog.has_schema_privilege(n.oid, 'USAGE')
FROM everything
JOIN pg_catalog.pg_class c USING (oid)
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
    SELECT COALESCE(CASE WHEN c.relkind IN ('r', 'm') THEN pg_catalog.pg_relation_size(c.oid) END
        / pg_catalog.current_setting('block_size')::pg_catalog.int8, 0) AS pages
) size
ORDER BY n.nspname, c.relname
";

/// Who asks: database and user.
pub(super) const SELF: &str = r"
SELECT pg_catalog.current_database()::pg_catalog.text,
    pg_catalog.quote_ident(CURRENT_USER::pg_catalog.text)
";

/// Columns of the tables in `$1` (`{oid,…}`). Domains are followed to their base type, but for those
/// of enums, which have no operators: no value of one can be compared as it is.
pub(super) const COLUMNS: &str = r"
SELECT a.attrelid::pg_catalog.int8, a.attnum::pg_catalog.int8, a.attname,
    pg_catalog.format_type(a.atttypid, a.atttypmod),
    base.typname, base.namespace,
    CASE WHEN base.typtype = 'e' AND base.oid <> a.atttypid THEN 'd'
        ELSE base.typtype END::pg_catalog.text,
    a.attnotnull OR base.not_null,
    CASE WHEN base.typname IN ('varchar', 'bpchar') AND base.typmod > 4
        THEN base.typmod - 4 END::pg_catalog.int8,
    CASE WHEN base.typname = 'numeric' AND base.typmod >= 4 THEN base.typmod - 4 END::pg_catalog.int8,
    (SELECT COALESCE(pg_catalog.jsonb_agg(e.enumlabel ORDER BY e.enumsortorder), '[]')::pg_catalog.text
        FROM pg_catalog.pg_enum e WHERE e.enumtypid = base.oid),
    a.attgenerated <> '', a.attidentity = 'a',
    CASE WHEN NOT l.collisdeterministic THEN l.collname END,
    pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'UPDATE'),
    pg_catalog.format_type(base.oid, base.typmod)
FROM pg_catalog.pg_attribute a
LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation
CROSS JOIN LATERAL (
    WITH RECURSIVE chain AS (
        SELECT t.oid, t.typbasetype, a.atttypmod AS typmod, false AS not_null
        FROM pg_catalog.pg_type t WHERE t.oid = a.atttypid
        UNION ALL
        SELECT b.oid, b.typbasetype,
            CASE WHEN chain.typmod >= 0 THEN chain.typmod ELSE d.typtypmod END,
            chain.not_null OR d.typnotnull
        FROM chain
        JOIN pg_catalog.pg_type d ON d.oid = chain.oid
        JOIN pg_catalog.pg_type b ON b.oid = d.typbasetype
    )
    SELECT t.oid, t.typname, n.nspname AS namespace, t.typtype, chain.typmod, chain.not_null
    FROM chain
    JOIN pg_catalog.pg_type t ON t.oid = chain.oid
    JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
    WHERE chain.typbasetype = 0
) base
WHERE a.attrelid = ANY ($1::pg_catalog.oid[]) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum
";

/// Indexes. A key column counts while it is a plain column, ordered by its type's own operators and
/// the column's own collation; the first that is not ends the list. Then the key's columns, wherever
/// they stand; those that it compares whole; all that it reads; and whether NULLs are alike to it. To an
/// exclusion constraint values may be alike that are not equal.
pub(super) const INDEXES: &str = r"
SELECT i.indrelid::pg_catalog.int8, c.relname, i.indisprimary, i.indisunique OR i.indisexclusion,
    i.indisvalid AND i.indisready AND i.indislive AND i.indpred IS NULL AND m.amname = 'btree'
        AND NOT i.indisexclusion,
    (SELECT COALESCE(pg_catalog.jsonb_agg(
            CASE WHEN o.opcdefault AND k.coll IN (0, a.attcollation)
                THEN a.attname END ORDER BY k.place), '[]')::pg_catalog.text
        FROM ROWS FROM (pg_catalog.unnest(i.indkey::pg_catalog.int2[]),
                pg_catalog.unnest(i.indcollation::pg_catalog.oid[]),
                pg_catalog.unnest(i.indclass::pg_catalog.oid[]))
            WITH ORDINALITY AS k(attnum, coll, opc, place)
        LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
            AND k.attnum > 0
        LEFT JOIN pg_catalog.pg_opclass o ON o.oid = k.opc
        WHERE k.place <= i.indnkeyatts),
    (SELECT COALESCE(pg_catalog.jsonb_agg(a.attname ORDER BY k.place), '[]')::pg_catalog.text
        FROM pg_catalog.unnest(i.indkey::pg_catalog.int2[])
            WITH ORDINALITY AS k(attnum, place)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
        WHERE k.place <= i.indnkeyatts),
    (SELECT COALESCE(pg_catalog.jsonb_agg(a.attname), '[]')::pg_catalog.text
        FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = i.indrelid AND a.attnum > 0 AND NOT i.indisexclusion
            AND EXISTS (SELECT FROM pg_catalog.unnest(i.indkey::pg_catalog.int2[])
                    WITH ORDINALITY AS k(attnum, place)
                WHERE k.place <= i.indnkeyatts AND (k.attnum = a.attnum OR k.attnum = 0
                    AND pg_catalog.pg_get_indexdef(i.indexrelid, k.place::pg_catalog.int4, true) IN (
                        pg_catalog.format('lower(%I)', a.attname),
                        pg_catalog.format('upper(%I)', a.attname),
                        pg_catalog.format('lower(%I::text)', a.attname),
                        pg_catalog.format('upper(%I::text)', a.attname))))),
    (SELECT COALESCE(pg_catalog.jsonb_agg(a.attname), '[]')::pg_catalog.text
        FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = i.indrelid AND a.attnum > 0
            AND (a.attnum = ANY (i.indkey::pg_catalog.int2[]) OR EXISTS (
                SELECT FROM pg_catalog.pg_depend d
                WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                    AND d.objid = i.indexrelid AND d.refobjid = i.indrelid
                    AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
                    AND d.refobjsubid = a.attnum))),
    COALESCE((pg_catalog.to_jsonb(i) ->> 'indnullsnotdistinct')::pg_catalog.bool, false)
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_am m ON m.oid = c.relam
WHERE i.indrelid = ANY ($1::pg_catalog.oid[])
ORDER BY i.indrelid, c.relname
";

/// Generated columns and what each is made from: until PostgreSQL 14 the column depends on it, then its
/// expression.
pub(super) const GENERATED: &str = r"
SELECT e.adrelid::pg_catalog.int8, g.attname,
    pg_catalog.jsonb_agg(DISTINCT a.attname)::pg_catalog.text
FROM pg_catalog.pg_attrdef e
JOIN pg_catalog.pg_attribute g ON g.attrelid = e.adrelid AND g.attnum = e.adnum
    AND g.attgenerated <> ''
JOIN pg_catalog.pg_depend d ON d.refobjid = e.adrelid
    AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
    AND (d.classid = e.tableoid AND d.objid = e.oid
        OR d.classid = d.refclassid AND d.objid = e.adrelid AND d.objsubid = e.adnum)
JOIN pg_catalog.pg_attribute a ON a.attrelid = e.adrelid AND a.attnum = d.refobjsubid
    AND a.attnum <> g.attnum
WHERE e.adrelid = ANY ($1::pg_catalog.oid[])
GROUP BY 1, 2
ORDER BY 1, 2
";

/// Triggers that fire for us: enabled always or at the origin. 8 is DELETE, 16 UPDATE. Until
/// PostgreSQL 14 a leaf's share of its parent's row trigger passes for internal, as a foreign key's
/// do.
pub(super) const TRIGGERS: &str = r"
SELECT t.tgrelid::pg_catalog.int8, t.tgname,
    (t.tgtype & 8) <> 0, (t.tgtype & 16) <> 0, (t.tgtype & 1) <> 0,
    NOT (p.prosecdef OR r.rolsuper OR r.rolname = CURRENT_USER),
    pg_catalog.concat_ws(E'\n', pg_catalog.pg_get_triggerdef(t.oid), pg_catalog.pg_get_functiondef(p.oid))
FROM pg_catalog.pg_trigger t
JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
JOIN pg_catalog.pg_roles r ON r.oid = p.proowner
WHERE t.tgrelid = ANY ($1::pg_catalog.oid[])
    AND (NOT t.tgisinternal OR t.tgparentid <> 0 AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_constraint k WHERE k.oid = t.tgconstraint AND k.contype <> 't'))
    AND t.tgenabled IN ('O', 'A') AND (t.tgtype & 24) <> 0
ORDER BY t.tgrelid, t.tgname
";

/// Rewrite rules on UPDATE (2) and DELETE (4).
pub(super) const RULES: &str = r"
SELECT r.ev_class::pg_catalog.int8, r.rulename
FROM pg_catalog.pg_rewrite r
WHERE r.ev_class = ANY ($1::pg_catalog.oid[]) AND r.ev_type IN ('2', '4')
    AND r.ev_enabled IN ('O', 'A')
ORDER BY r.ev_class, r.rulename
";

/// CHECK constraints of the tables, and of the domains their columns have.
pub(super) const CHECKS: &str = r"
SELECT k.conrelid::pg_catalog.int8, k.conname,
    (SELECT COALESCE(pg_catalog.jsonb_agg(a.attname ORDER BY a.attnum), '[]')::pg_catalog.text
        FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey))
FROM pg_catalog.pg_constraint k
WHERE k.conrelid = ANY ($1::pg_catalog.oid[]) AND k.contype = 'c'
UNION ALL
SELECT a.attrelid::pg_catalog.int8, k.conname,
    pg_catalog.jsonb_build_array(a.attname)::pg_catalog.text
FROM pg_catalog.pg_attribute a
CROSS JOIN LATERAL (
    WITH RECURSIVE chain AS (
        SELECT t.oid, t.typbasetype FROM pg_catalog.pg_type t WHERE t.oid = a.atttypid
        UNION ALL
        SELECT b.oid, b.typbasetype FROM chain
        JOIN pg_catalog.pg_type b ON b.oid = chain.typbasetype
    )
    SELECT d.conname FROM chain
    JOIN pg_catalog.pg_constraint d ON d.contypid = chain.oid AND d.contype = 'c'
) k
WHERE a.attrelid = ANY ($1::pg_catalog.oid[]) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY 1, 2
";

/// What calls functions that somebody can change who is neither an administrator nor ourselves: they
/// run with our privileges. Writing a row runs those of every CHECK, index and generated column,
/// whatever columns it changes; to plan a statement the server may run those of indexes, statistics
/// and partition keys, and of a partition's CHECKs.
pub(super) const CODE: &str = r"
WITH trusted AS (
    SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolsuper OR r.rolname = CURRENT_USER
), parts AS (
    SELECT k.conrelid AS relid, 'CHECK constraint '::pg_catalog.text || k.conname AS what,
        k.tableoid AS class, k.oid AS object, c.relispartition AS on_read
    FROM pg_catalog.pg_constraint k
    JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
    WHERE k.contype = 'c'
    UNION ALL
    SELECT i.indrelid, 'index ' || c.relname, c.tableoid, c.oid, true
    FROM pg_catalog.pg_index i
    JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
    UNION ALL
    SELECT a.attrelid, 'generated column ' || a.attname, d.tableoid, d.oid, false
    FROM pg_catalog.pg_attribute a
    JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attgenerated <> ''
    UNION ALL
    SELECT s.stxrelid, 'statistics ' || s.stxname, s.tableoid, s.oid, true
    FROM pg_catalog.pg_statistic_ext s
    UNION ALL
    SELECT pg_catalog.pg_partition_root(c.oid), 'partition key of ' || c.relname,
        c.tableoid, c.oid, true
    FROM pg_catalog.pg_class c
    WHERE c.relkind = 'p' AND c.oid = ANY ($1::pg_catalog.oid[])
)
SELECT parts.relid::pg_catalog.int8, parts.what, parts.on_read
FROM parts
WHERE parts.relid = ANY ($1::pg_catalog.oid[])
    AND (EXISTS (
        SELECT FROM pg_catalog.pg_depend d
        LEFT JOIN pg_catalog.pg_operator o ON o.oid = d.refobjid
            AND d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass
        LEFT JOIN pg_catalog.pg_proc p ON p.oid = CASE d.refclassid
            WHEN 'pg_catalog.pg_proc'::pg_catalog.regclass THEN d.refobjid
            ELSE o.oprcode::pg_catalog.oid END
        LEFT JOIN pg_catalog.pg_type t ON t.oid = d.refobjid AND t.typtype NOT IN ('b', 'e', 'p')
            AND d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass
        WHERE d.classid = parts.class AND d.objid = parts.object AND d.objsubid = 0
            -- What a partitioned table is made of is no part of its key.
            AND (t.oid IS NULL OR parts.object <> parts.relid)
            AND COALESCE(p.proowner, t.typowner) NOT IN (SELECT oid FROM trusted))
    OR EXISTS (
        SELECT FROM pg_catalog.pg_attribute a
        JOIN pg_catalog.pg_range r ON r.rngtypid = a.atttypid
        JOIN pg_catalog.pg_type t ON t.oid = r.rngtypid
        WHERE parts.what LIKE 'index %' AND a.attrelid = parts.object
            AND (r.rngsubdiff::pg_catalog.oid <> 0 OR r.rngcanonical::pg_catalog.oid <> 0)
            AND t.typowner NOT IN (SELECT oid FROM trusted)))
ORDER BY 1, 2
";

/// Foreign keys into or out of the tables; a partition's share of its parent's key is left out.
///
/// A key is enforced when it is valid, not NOT ENFORCED (18) and none of its triggers is disabled.
pub(super) const REFERENCES: &str = r"
SELECT k.conname, fn.nspname, f.relname, tn.nspname, t.relname,
    (SELECT pg_catalog.jsonb_agg(a.attname ORDER BY x.place)::pg_catalog.text
        FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY AS x(attnum, place)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = x.attnum),
    (SELECT pg_catalog.jsonb_agg(a.attname ORDER BY x.place)::pg_catalog.text
        FROM pg_catalog.unnest(k.confkey) WITH ORDINALITY AS x(attnum, place)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = x.attnum),
    k.confdeltype::pg_catalog.text, k.confupdtype::pg_catalog.text,
    k.convalidated
        AND COALESCE((pg_catalog.to_jsonb(k) ->> 'conenforced')::pg_catalog.bool, true)
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger g
            WHERE g.tgconstraint = k.oid AND g.tgenabled NOT IN ('O', 'A')),
    k.condeferrable,
    NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey) AND a.attnotnull),
    EXISTS (SELECT FROM pg_catalog.pg_index i
        WHERE i.indrelid = k.conrelid AND i.indisvalid AND i.indpred IS NULL
            AND i.indnkeyatts >= pg_catalog.cardinality(k.conkey)
            AND NOT EXISTS (
                SELECT FROM pg_catalog.generate_series(0, pg_catalog.cardinality(k.conkey) - 1) p
                WHERE NOT i.indkey[p] = ANY (k.conkey)))
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_class f ON f.oid = k.conrelid
JOIN pg_catalog.pg_namespace fn ON fn.oid = f.relnamespace
JOIN pg_catalog.pg_class t ON t.oid = k.confrelid
JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
WHERE k.contype = 'f' AND k.conparentid = 0
    AND (k.conrelid = ANY ($1::pg_catalog.oid[]) OR k.confrelid = ANY ($1::pg_catalog.oid[]))
ORDER BY tn.nspname, t.relname, fn.nspname, f.relname, k.conname
";

/// Publications that would refuse an UPDATE or DELETE for want of a replica identity.
pub(super) const PUBLICATIONS: &str = r"
SELECT DISTINCT c.oid::pg_catalog.int8, p.pubname
FROM pg_catalog.pg_publication_tables v
JOIN pg_catalog.pg_publication p ON p.pubname = v.pubname
JOIN pg_catalog.pg_namespace n ON n.nspname = v.schemaname
JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = v.tablename
WHERE c.oid = ANY ($1::pg_catalog.oid[]) AND (p.pubupdate OR p.pubdelete)
    AND NOT CASE c.relreplident
        WHEN 'f' THEN true
        WHEN 'n' THEN false
        ELSE EXISTS (SELECT FROM pg_catalog.pg_index i
            WHERE i.indrelid = c.oid AND i.indisvalid AND i.indimmediate
                AND CASE c.relreplident
                    WHEN 'i' THEN i.indisreplident ELSE i.indisprimary END)
        END
ORDER BY 1, 2
";

/// Materialised views that read a table, also through other views.
pub(super) const MATERIALISED: &str = r"
WITH RECURSIVE readers AS (
    SELECT t.oid AS source, t.oid AS view, 't'::pg_catalog.text AS kind
    FROM pg_catalog.unnest($1::pg_catalog.oid[]) AS t(oid)
    UNION
    SELECT readers.source, r.ev_class, c.relkind::pg_catalog.text
    FROM readers
    JOIN pg_catalog.pg_depend d ON d.refobjid = readers.view
        AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
        AND d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
    JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid AND r.ev_class <> readers.view
    JOIN pg_catalog.pg_class c ON c.oid = r.ev_class AND c.relkind IN ('v', 'm')
)
SELECT DISTINCT readers.source::pg_catalog.int8, n.nspname, c.relname
FROM readers
JOIN pg_catalog.pg_class c ON c.oid = readers.view
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE readers.kind = 'm' AND readers.view <> readers.source
ORDER BY 1, 2, 3
";

/// Tables in the same schemas whose names end as copies' names do.
pub(super) const COPIES: &str = r"
SELECT DISTINCT n.nspname, c.relname
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relname ~ '_(old|new|gho|ghc|del)$'
    AND c.relnamespace IN (SELECT s.relnamespace FROM pg_catalog.pg_class s
        WHERE s.oid = ANY ($1::pg_catalog.oid[]))
ORDER BY 1, 2
";
