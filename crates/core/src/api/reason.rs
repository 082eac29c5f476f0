//! Every reason a condition, event or refusal can carry: its meaning, how things stand, and what to
//! do about it. One place; the docs page of reasons is generated from it.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// How things stand with a resource that gives a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// As it should be; waiting for time is as it should be.
    Well,
    /// Nothing is wrong, and it goes on when somebody has looked and decided.
    Waiting,
    /// The controller is at work and will know more soon.
    Working,
    /// Something is missing that may come by itself; it is tried again.
    Retrying,
    /// Nothing will happen until somebody changes something.
    Stalled,
}

impl Standing {
    /// In words, for the docs.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Waiting => "waits for somebody's decision",
            Self::Working => "at work",
            Self::Retrying => "tried again by itself",
            Self::Stalled => "stalled until changed",
        }
    }
}

macro_rules! reasons {
    ($($name:ident $standing:ident $meaning:literal $remedy:literal;)+) => {
        /// Why a resource is in the state it is in. CamelCase, stable: people write alerts on these.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Reason { $(#[doc = $meaning] $name),+ }

        impl Reason {
            /// Every reason, in the order of the docs.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// As conditions and events spell it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),+ }
            }

            /// What it means, one or two sentences.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning),+ }
            }

            /// What to do about it.
            pub fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy),+ }
            }

            /// How things stand.
            pub fn standing(self) -> Standing {
                match self { $(Self::$name => Standing::$standing),+ }
            }
        }
    };
}

reasons! {
    // Progress: nothing is wrong.
    Pending Working "The controller has not looked at the resource yet."
        "Wait a moment. If it stays, check that the operator runs and watches this namespace.";
    Connected Well "The database answers and can be used."
        "Nothing.";
    Planning Working "A plan is being made: the catalog is read and rows are counted. Nothing is changed."
        "Wait. Large tables are counted slowly on purpose.";
    DryRun Well "A dry run's plan stands in the status; nothing changes."
        "Read the counts. Set `mode: Enforce` when they are what you promised.";
    Scheduled Well "The next run waits for its time, which is in `status.nextRunAt`."
        "Nothing. The annotation `oubliette.dev/run-now` with a new value runs it at once.";
    Running Well "A run is under way; `status.progress` says how far it is."
        "Nothing. `suspend: true` stops it within one batch; it can be resumed.";
    Completed Well "The last run did all it planned, and an independent count confirmed it."
        "Nothing.";
    Suspended Well "`suspend: true` is set on the policy or its database; nothing is changed."
        "Set `suspend: false` to go on.";
    WindowClosed Well "Something is to be counted or changed, and the database may be worked on only in `pacing.windows`; it goes on when the next one opens, at `status.windowOpensAt`."
        "Nothing. Whoever owns the TargetDatabase can widen `pacing.windows`.";
    // Whether a policy keeps up: reasons of the condition FallingBehind, beside those of what ended its last run.
    KeepingUp Well "No row is left that was due when the last run was, but for rows that a legal hold or a duty keeps or that were left in small groups, and each run has ended before the next was due."
        "Nothing.";
    WindowsTooShort Well "A run has not ended, or not begun, before the next one was due, because the database may be worked on only in `pacing.windows`. Rows are kept longer than promised."
        "Have whoever owns the TargetDatabase widen `pacing.windows` or raise `pacing.maxRowsPerSecond`; `status.keepUp` says when it will have caught up as it is.";
    Throttled Well "A run has not ended before the next one was due: at the pace that `pacing` allows, its rows take longer. Rows are kept longer than promised."
        "Raise `pacing.maxRowsPerSecond`, or set `pacing.mode: Backlog` for a quiet time; `status.keepUp` says when it will have caught up as it is.";
    // The time to answer a person: reasons of the conditions DueSoon and Overdue.
    DueSoon Well "The last days have begun in which the person may be answered. Whatever else happens, only `spec.reply.sentAt` ends this time."
        "Answer the person: `kubectl oubliette reply REQUEST` writes the letter, and with `--sent` it records that it was sent. More time needs `spec.extension`, and the person told of it in the first month.";
    Overdue Waiting "The last day on which the person could be answered has passed, and no answer is recorded."
        "Answer the person now: `kubectl oubliette reply REQUEST` writes the letter. If they were answered already, record when: `kubectl oubliette reply REQUEST --sent=2026-11-20T12:00:00Z`.";
    // What people decide before a run.
    DryRunMissing Waiting "The policy is in mode Enforce, `guards.dryRun` asks for a dry run first, and none of this plan is recorded. Nothing is changed."
        "Set `mode: DryRun`, read the counts in `status.plan`, and set `mode: Enforce` again.";
    ApprovalMissing Waiting "`guards.approval` asks for an approval of the plan, and there is none yet, or not of enough people. Nothing is changed."
        "Read `status.plan`; whoever may approve calls `kubectl oubliette approve POLICY` or `approve oer/REQUEST`, or `reject`.";
    ApprovalVoid Waiting "There is an approval, and not of this plan as it is: the spec or the schema is another one now, more rows would change than it allows, or a legal hold on its tables was released since. Nothing is changed."
        "Look at what the message says has changed, then approve the plan as it is now: `kubectl oubliette approve POLICY` or `approve oer/REQUEST`.";
    Rejected Waiting "Somebody rejected the plan. Nothing is changed."
        "See `kubectl get oap`. Change the policy, or have whoever rejected it approve the plan or delete the rejection.";
    ChangesRequested Waiting "Somebody asks for changes before the plan is carried out. Nothing is changed."
        "See `kubectl get oap`. Change the policy, or have whoever asked approve the plan or delete the request.";
    Approved Well "The plan is approved."
        "Nothing. Deleting the Approval takes it back, and stops a run within one batch.";
    // Requests of persons.
    AwaitingIdentity Waiting "The person, or whoever speaks for them, has still to prove who they are. Nothing is planned."
        "Write `identity.satisfiedAt` or `requester.authorityVerifiedAt` once it is proved, or close the request as NotIdentified.";
    Identified Well "The person, and whoever speaks for them, have proved what they must."
        "Nothing.";
    SubjectFound Well "It is known who is meant."
        "Nothing.";
    Finding Working "The person is looked for in every map. Nothing is changed."
        "Wait.";
    NothingFound Well "Nobody fits what the request says of the person, in any map. That is an answer, too."
        "Answer the person: `kubectl oubliette reply`.";
    Ambiguous Waiting "It is not known who is meant: several rows fit, or one fits an identifier and contradicts another. Nothing is changed."
        "Withdraw this request and file another one with one more identifier, or without the one that is wrong.";
    Unclassified Stalled "A table that hangs on the person's rows, or a column of rows that stay, has no decision in the DataMap. Nothing is changed."
        "Decide each in the DataMap as the message says, or set `unclassified: Report` there.";
    SubjectUnfit Waiting "The Secret with the person's identifiers cannot be used. Nothing is changed."
        "Do what the message says; the Secret is of type `oubliette.dev/subject` and immutable, and its keys are identifiers of DataMaps.";
    NoMap Retrying "There is no DataMap with persons that may be used from here. Nothing is changed."
        "Write one with `subjects`, name that of another namespace in `dataMapRefs`, or have its owner widen `usableFrom`.";
    PlacesUnfit Stalled "A place outside the databases that a DataMap names cannot be told. Nothing is erased."
        "Do what the message says: have the target declared in the operator's settings, or write `via: Manual` and an owner.";
    Telling Working "Places outside the databases are told, until each has accepted."
        "Wait. `status.elsewhere` says how often each was tried and what it answered.";
    StillFound Stalled "After the run the person was found again by what they are known by, in rows that neither a duty nor a hold keeps."
        "Look at the message: usually the map leaves a column as it is that identifies persons. Give it a strategy; the request goes on then.";
    Erased Well "Everything that was planned is done in all databases, and another search found nothing that is not kept or held."
        "Nothing.";
    KeptInPart Well "Everything is done but for what a duty or a legal hold keeps; it goes when that ends."
        "Nothing. `status.kept` says how much it is and until when.";
    AwaitingConfirmation Waiting "Somebody has still to confirm what `status.toConfirm` names."
        "Do it and say so: `kubectl oubliette confirm REQUEST ITEM`.";
    CertificateNotKept Retrying "What was erased is certified, but the certificate could not be kept in its ConfigMap. It is tried again."
        "Let the operator create and patch ConfigMaps in the namespace: list it among the chart's `rbac.requestNamespaces`, and look for a quota or an admission policy that refuses them.";
    AwaitingReply Waiting "All is done that can be; the person is to be answered."
        "Send the letter that `kubectl oubliette reply REQUEST` writes, and say when.";
    Closed Well "Somebody ended the request; nothing more is erased."
        "Nothing.";
    // The manifest.
    UnknownField Stalled "The manifest has a field that this version does not know. It could be a misspelt guard, so nothing runs."
        "Correct or remove the fields that the message names, or update the operator.";
    InvalidSpec Stalled "A field has a value that cannot be used."
        "Write what the message says; it names every such field.";
    Conflict Stalled "Two policies have rules on one table whose rows may overlap; neither runs. Of two that reach one database by different TargetDatabases, the one that was planned first does."
        "Put the rules into one policy, or give them `where` conditions that exclude each other.";
    DatabaseNotFound Retrying "The referenced TargetDatabase does not exist."
        "Create it, or correct `databaseRef`.";
    DatabaseNotUsable Stalled "The TargetDatabase is in another namespace and its owner does not allow its use from here."
        "Ask its owner to widen `usableFrom`.";
    DatabaseNotReady Retrying "The TargetDatabase is not Ready; its own condition says why."
        "See `kubectl get odb`.";
    SecretMissing Retrying "A referenced Secret or ConfigMap does not exist or lacks the key."
        "Create it with the key that the message names.";
    SecretForbidden Retrying "The operator may not read a referenced Secret."
        "Apply the Role that `oubliette rbac -f FILE` prints.";
    SecretUnfit Retrying "The Secret of `pseudonymKey` is not of the type `oubliette.dev/pseudonym-key`, its key is too short, or its annotation `oubliette.dev/database` names other databases."
        "Do what the message says: it prints a Secret that is taken (put random content of your own into it), or names the annotation.";
    // The connection.
    Unreachable Retrying "The host cannot be reached or its name does not resolve."
        "Check host, port, NetworkPolicies and whether the database runs.";
    NoSuchDatabase Retrying "The server has no database of the name in `connection.database`."
        "Correct `connection.database`, or create the database.";
    TooManyConnections Retrying "The server gives the operator no further connection."
        "Raise the limit of the server or of the user, or lower `pacing.workers`.";
    ServerExhausted Retrying "The server is out of disk space, memory or another resource."
        "Give it more, or free some; the SQLSTATE in the message says what it lacks.";
    AuthenticationFailed Retrying "The server refused the user or the password."
        "Correct the Secret; it is read again at once on refusal, otherwise every five minutes.";
    CertificateInvalid Stalled "The server's certificate could not be verified."
        "Give the right CA in `connection.tls.ca`, and a host name that the certificate carries.";
    EngineMismatch Stalled "The server is not of the declared engine, or older than supported."
        "Correct `engine` (a new resource: it is immutable), or update the server.";
    ClockSkew Retrying "The clocks of operator, database and API server differ by more than five minutes, so cutoffs could be wrong."
        "Correct the clocks (NTP).";
    UnsafeSetting Stalled "A setting of the server or session makes a run unsafe."
        "Change the setting that the message names.";
    MissingGrants Retrying "The user lacks privileges."
        "Run the GRANT statements in the message; `oubliette grants -f FILE` prints all of them.";
    // The ledger.
    LedgerMissing Retrying "The ledger does not exist and the user may not create it."
        "Run the SQL that `oubliette ledger print -f FILE --user USER` prints, or grant CREATE.";
    LedgerOwned Stalled "The ledger belongs to another TargetDatabase or cluster: two owners would count twice."
        "When the other one keeps no promises there any more (its TargetDatabase is deleted, or nobody calls `oubliette apply`), hand the ledger over with `oubliette ledger adopt NAME -n NAMESPACE`.";
    LedgerUnfit Stalled "A view or another relation has the name of one of the ledger's tables, so the ledger cannot be created."
        "Rename or drop what the message names, or make a new TargetDatabase with another `ledger.schema`.";
    LedgerNewer Stalled "The ledger was written by a newer version of the program."
        "Update the operator.";
    LedgerRewound Stalled "The ledger is behind what status remembers of it: the database was restored from a backup, a failover lost commits, or it is another database. Nothing runs."
        "Find out what happened (docs/operations.md says what to look at). Then accept the ledger as it is with `kubectl annotate odb NAME oubliette.dev/accept-ledger=TOKEN`; the message has the token.";
    Restored Working "The database was restored to an instant before erasures that were completed, or a failover lost them. Retention on it waits until they have been applied again."
        "Nothing: they are applied again, found by the digests of the erased identifiers. Then find out what else the backup brought back.";
    ErasureForgotten Stalled "The database was restored to an instant before an erasure whose digests are kept nowhere: nothing can find the person again. Retention on it waits."
        "Erase the person again with a new request, then accept the ledger as `LedgerRewound` says.";
    ResidueFound Waiting "All texts of the database were searched for what the erased person is known by, and some have it, or could not be searched."
        "Look at `status.databases[].residue`: correct the rows, decide about the column in the DataMap for the next request, or note why it stays. What a duty or a hold keeps is among it, and what is another person's who has the same.";
    ResidueNone Well "All texts of the database were searched for what the erased person is known by, and none has it."
        "Nothing.";
    Reappeared Waiting "Rows hold an identifier that this request has erased: the person was imported again, or has come back by themselves."
        "Find out where the rows are from. A person who is a customer anew needs nothing. `reappeared: EraseAgain` in the DataMap has the request carried out once more.";
    ErasedAgain Working "The request is carried out once more: the person was in a database again."
        "Nothing.";
    SuppressionKeyMissing Retrying "The ledger has digests under a key that the operator does not have: erased persons who are back cannot be found by them."
        "Add the file of the earlier key to `suppression.previousKeyFiles` until the digests have ended.";
    IdentifierUnfit Retrying "A column of identifiers in a DataMap cannot be searched for erased persons: it does not exist, may not be seen, or is of a type that is not hashed."
        "Correct the DataMap, or give the privilege that the message names.";
    HoldsUnreadable Retrying "The legal holds of the database cannot be read, or one of them cannot be applied to its table or maps any more. Nothing runs, because a held row could go."
        "Do what the message says: give back the privilege, the table, the column or the DataMap, or release the hold (`oubliette hold release` for one whose resource is gone).";
    Held Well "The hold is in force: no run changes a row that it holds, nor one on which such a row hangs."
        "Nothing. Only `spec.release` ends it; deleting the object does not.";
    HoldUnfit Retrying "The hold is not in force: its table or a column does not exist, a value does not fit its column, its Secret holds no values, or a DataMap does not fit. Rows may go."
        "Correct what the message names. Rows, subject, reason and placedBy of a hold are immutable: create another one, and delete this one.";
    HoldReleased Well "The hold was released: runs may take its rows. The ledger keeps who did it, and no value."
        "Nothing. The object may be deleted.";
    ReviewDue Well "The day on which the hold is to be reviewed has come; it stays in force."
        "Release it with `spec.release`, or set another `spec.reviewAt`.";
    HoldsOrphaned Well "Holds are in force whose LegalHold objects are gone; deleting one does not release it."
        "See `oubliette hold list`; what is no longer needed ends with `oubliette hold release`.";
    // Duties.
    DutiesUnreadable Stalled "A DataMap of the database cannot be read, and so it cannot be told what must be kept. Nothing runs on the database."
        "Correct the DataMap that the message names; its own condition says what is wrong with it.";
    DutiesUnfit Retrying "A DataMap does not fit the database: a table or column that it names is not there, or a duty's column is no date. Nothing runs on the database, because what must be kept could go."
        "Do what the message says: correct the DataMap, or give back the table, the column or the privilege to see it.";
    StrategyMissing Stalled "Of some rows a duty keeps certain columns only, and no DataMap says what happens to the others."
        "Write a strategy for each of them into the DataMap, or keep them, too; the message has the YAML.";
    Mapped Well "The DataMap fits its database: its duties bind every policy there."
        "Nothing. A change of it counts from the next plan on, and voids the approvals of plans that it changes.";
    // The plan.
    TableMissing Stalled "A table does not exist or the user cannot see it."
        "Correct the name (it is case-sensitive), or grant SELECT.";
    ColumnMissing Stalled "A column does not exist."
        "Correct the name; it is case-sensitive.";
    ColumnUnfit Stalled "A column's type does not fit what the rule asks of it."
        "Use another column or strategy; the message says what fits.";
    TableUnfit Stalled "The relation cannot be handled: a view, a foreign table, the ledger's own, or one from which tables inherit that nothing decides about."
        "Name the base tables instead, or the inheriting ones as well.";
    NotTransactional Stalled "The table's storage engine has no transactions, so counts could not be kept exact."
        "Convert the table to InnoDB.";
    HistoryKept Stalled "The table keeps a history of deleted rows, so data would survive its deletion."
        "Drop the system versioning, or leave the table out.";
    NoUsableKey Stalled "The table has no key that rows can be walked by."
        "Give it a primary key of integer, text, uuid or binary columns.";
    ReferencesHidden Stalled "The user cannot see every reference or trigger, so a cascade could be missed."
        "Grant PROCESS and TRIGGER.";
    ReferenceUndecided Stalled "Other rows reference the expired ones, and no `related` entry decides what happens to them."
        "Add the entry that the message prints, and choose its action.";
    ReferenceUnsupported Stalled "A reference that cannot be followed: its rows could belong to several parents, its columns cannot be compared, no entry leads to it, or it leads from rows that stay back to themselves."
        "Correct the entry that the message names, or leave the table out.";
    ReferenceUnindexed Stalled "A referencing column has no index: each expired row would scan the whole child table."
        "Create the index that the message names.";
    TriggerPresent Stalled "A trigger, a rewrite rule or somebody's function would act on the changed rows and could change others."
        "Declare a trigger that does no harm with the entry that the message prints, drop or disable it, let a superuser own the function, or leave the table out.";
    RowSecurity Stalled "Row-level security would hide rows from the user, so counts would lie."
        "Give the user BYPASSRLS, or own policies that show every row.";
    ReplicaIdentityMissing Stalled "A publication carries the table and the table has no replica identity, so changes would fail."
        "Set REPLICA IDENTITY, or take the table out of the publication.";
    ConstraintConflict Stalled "A transformation would break a constraint of the column."
        "Choose another strategy; the message names the constraint.";
    SealTargetUnfit Stalled "The table into which rows are to be sealed is missing, or cannot take them as they are."
        "Run the statements that the message prints, as an administrator.";
    SealedReadable Stalled "Others may read or change the table into which rows are sealed."
        "Run the REVOKE that the message prints, or name who is meant to read it in the TargetDatabase's `seal.readers`.";
    WalkUnindexed Stalled "The walk would scan a large table without an index."
        "Create the index that the message names, or set `walk.allowUnindexed: true`.";
    SmallGroups Stalled "Rows would be anonymised into groups of fewer rows that look alike than `kAnonymity.k` allows, so nothing was changed by the rule."
        "Generalise the columns further, `Nullify` one of them, leave a column out of `quasiIdentifiers` that nobody is recognised by, or write `below: Leave`, which leaves these rows until their group has grown.";
    LimitExceeded Stalled "The plan changes more than the limits allow, so nothing was changed."
        "If the numbers in the message are right, raise `limits` (or the database's `guards`).";
    // The run.
    CeilingReached Stalled "More rows became eligible during the run than the plan allows; the run stopped there."
        "Look for a mass update of the clock column; the next run plans anew.";
    Drifted Retrying "Schema or spec changed since the plan was made."
        "Nothing: it is planned anew.";
    TakenOver Retrying "Another worker took the run over."
        "Nothing: it goes on there.";
    RunFailed Retrying "A database error ended the run; what it had committed is counted."
        "See the SQLSTATE in the message; the run resumes by itself.";
    RowsTooLarge Retrying "Rows were left because the rows that hang on a single one of them do not go within the time limit of a statement, one minute."
        "Index the referencing column, or let an earlier rule of the policy take the related rows by a clock of their own.";
    GroupsShrank Stalled "After the rule, fewer rows look alike than `kAnonymity.k` allows in a group to which it had added: rows of the group were renewed, deleted, held or stayed locked while it ran. What was changed stays changed and is counted."
        "Look at the numbers in `status.lastRun`. What became due again goes with the next run and fills the group up; for a group that stays small, write a rule that generalises further or deletes its rows.";
    RowsUnaccounted Stalled "The database changed other rows than those that a batch counted: a cascade or a trigger that is younger than the plan. The batch was rolled back and the run ended. MariaDB counts no rows of a cascade: a foreign key that is added there while a run is under way is seen by the next plan only."
        "Look for foreign keys and triggers that were added to the tables of the rule; the next plan refuses or counts them. A trigger that the rule declares must change and delete no rows.";
    ReferenceRing Stalled "Expired rows, or rows that hang on them, refer to each other in a ring over columns that may not be NULL, so that none of them can go first. The batch was rolled back and the run ended."
        "Allow NULL in one of the columns of the ring, or take the ring apart in the data.";
    RowsNotFound Stalled "Rows that a batch had chosen and locked were not changed when they were asked for by their key: the key has values that the database does not give back as they are, or a trigger that is younger than the plan keeps them. The batch was rolled back and the rule ended; the other rules ran."
        "Look for keys with bytes or dates that their type does not know, and for triggers on the rule's table.";
    SealedAlready Stalled "A row could not be sealed, because the sealed table has one with its key already, from an earlier row of that key, or another constraint of it refused the copy. The batch was rolled back, the row is where it was, and the rule ended; the other rules ran."
        "Make `sealed_at` a part of the sealed table's primary key, as in the statement that the plan prints, and drop other constraints of it.";
    SealedMiscounted Stalled "In the sealed table lie more or fewer rows of the run than it counted: somebody else has changed it. The run failed."
        "Find out who did; nothing runs until the spec changes or `run-now` asks for it.";
    RowsLocked Retrying "Rows stayed locked by the application for the whole run and were left."
        "Look for long transactions; the next run takes them.";
    VerificationFailed Stalled "Rows remain that nothing explains: the run is not what it claims to be."
        "Report it with the run's id; nothing runs until the spec changes or `run-now` asks for it.";
    Abandoned Stalled "The run was ended before its end: the policy, its database or the namespace is gone, or promises something else now."
        "Nothing; the ledger keeps what was done.";
    InternalError Retrying "The program made an error of its own."
        "Report it with the operator's log.";
}

impl Reason {
    /// The reason of that name, whatever its case.
    pub fn named(text: &str) -> Option<Self> {
        let same = |reason: &&Self| reason.as_str().eq_ignore_ascii_case(text);
        Self::ALL.iter().find(same).copied()
    }

    /// Whether something is wrong.
    pub fn is_failure(self) -> bool {
        matches!(self.standing(), Standing::Retrying | Standing::Stalled)
    }

    /// Whether nothing is wrong and somebody is to decide.
    pub fn is_waiting(self) -> bool {
        self.standing() == Standing::Waiting
    }

    /// Whether nothing will happen until somebody changes something.
    pub fn is_stalled(self) -> bool {
        self.standing() == Standing::Stalled
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl JsonSchema for Reason {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Reason".into()
    }

    fn inline_schema() -> bool {
        true
    }

    /// A string without a list: a newer version's reasons must not be refused.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "maxLength": 64 })
    }
}

/// The docs page of reasons, in Markdown.
pub fn page() -> String {
    use std::fmt::Write as _;
    let mut page = String::from(
        "# Reasons\n\n\
         Generated by `oubliette reference reasons`; edit `crates/core/src/api/reason.rs` instead.\n\n\
         Every condition, event and refusal carries one of these. *Stands* says what happens next:\n\
         only what is *stalled until changed* or *waits for somebody's decision* needs somebody.\n\n\
         | Reason | Stands | Meaning | What to do |\n|---|---|---|---|\n",
    );
    for reason in Reason::ALL {
        writeln!(
            page,
            "| `{reason}` | {} | {} | {} |",
            reason.standing().describe(),
            reason.meaning(),
            reason.remedy()
        )
        .expect("writing to a string does not fail");
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_says_what_it_means_and_what_to_do() {
        for reason in Reason::ALL {
            for text in [reason.meaning(), reason.remedy()] {
                assert!(text.ends_with('.'), "{reason}: {text:?}");
                assert!(!text.contains('|'), "{reason} would break the table");
            }
        }
    }

    #[test]
    fn the_spelling_is_the_variants_name() {
        for reason in Reason::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
        }
    }
}
