//! A desk without a cluster: a database, the files that a person would have for it, and the program
//! called with them. Its output is kept for the privacy case.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pty_process::Size;
use pty_process::blocking::Pty;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::case::Server;
use crate::cluster::documents;
use crate::expect::Grants;
use crate::printed;
use crate::scenario::{supplies, target_database};
use crate::sql::{Database, next_number};
use crate::wait::{PATIENCE, wait_for};
use crate::world::World;

/// What a call came to.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Answer {
    /// The report, which was asked for as JSON.
    pub(crate) fn report(&self) -> Result<Value> {
        serde_json::from_str(&self.out)
            .with_context(|| format!("not JSON: {:?}; {}", self.out, self.err))
    }

    /// It ended with this code.
    pub(crate) fn expect(self, code: i32) -> Result<Self> {
        ensure!(self.code == Some(code), "expected {code}: {self:?}");
        Ok(self)
    }

    /// The only policy's only refusal has this reason.
    pub(crate) fn expect_refused(self, reason: &str) -> Result<Self> {
        let answer = self.expect(1)?;
        let report = answer.report()?;
        let refusals = &report["policies"][0]["refusals"];
        let only = refusals.as_array().is_some_and(|all| all.len() == 1);
        ensure!(
            only && refusals[0]["reason"] == reason,
            "expected {reason}: {report}"
        );
        Ok(answer)
    }
}

/// A desk.
pub(crate) struct Desk<'w> {
    world: &'w World,
    pub(crate) database: Database,
    /// The manifests, the TargetDatabase first and the policy second.
    pub(crate) objects: Vec<Value>,
    /// The database user.
    pub(crate) user: String,
    file: NamedTempFile,
}

impl<'w> Desk<'w> {
    /// A fresh database with this schema, a user with the printed grants, and these manifests with a
    /// TargetDatabase unless they bring one.
    pub(crate) fn set(
        world: &'w World,
        server: Server,
        case: &str,
        schema: impl FnOnce(&Database) -> Result<String>,
        manifests: &str,
    ) -> Result<Self> {
        let database = world.database(server, case)?;
        let schema = schema(&database)?;
        Self::around(world, database, &schema, manifests)
    }

    /// The same on an empty database.
    pub(crate) fn around(
        world: &'w World,
        database: Database,
        schema: &str,
        manifests: &str,
    ) -> Result<Self> {
        world.block_on(database.admin.execute(schema))?;
        let (user, password) = (
            format!("oubliette_{}", next_number()),
            format!("pw-{}", next_number()),
        );
        world.block_on(database.create_user(&user, &password))?;
        let mut objects = documents(&database.fill(manifests))?;
        if !objects.iter().any(|o| o["kind"] == "TargetDatabase") {
            objects.insert(0, target_database(&database));
        }
        objects.extend(supplies(&database, &user, &password)?);
        let file = tempfile::Builder::new().suffix(".yaml").tempfile()?;
        let desk = Self {
            world,
            database,
            objects,
            user,
            file,
        };
        desk.grant()?;
        desk.save()?;
        Ok(desk)
    }

    fn grant(&self) -> Result<()> {
        let printed = printed::grants(&self.objects, &self.user, Grants::Printed)?;
        let printed = printed.context("nothing was printed")?;
        self.sql(&printed)
    }

    /// Sets a field of the TargetDatabase (0) or the policy (1), and writes the file.
    pub(crate) fn edit(&mut self, object: usize, field: &str, value: Value) -> Result<()> {
        self.objects[object]["spec"][field] = value;
        self.save()
    }

    /// How fast rows may go.
    pub(crate) fn pace(&mut self, rows_per_second: u32) -> Result<()> {
        let pacing = json!({"maxRowsPerSecond": rows_per_second});
        self.edit(0, "pacing", pacing)
    }

    fn save(&self) -> Result<()> {
        // JSON documents are YAML documents.
        let text: Vec<String> = self.objects.iter().map(Value::to_string).collect();
        std::fs::write(self.file.path(), text.join("\n---\n"))
            .context("failed to write the manifests")
    }

    /// The program with these arguments and the manifests; it ends with the suite.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", env!("CARGO_BIN_EXE_oubliette")])
            .args(arguments)
            .arg("-f")
            .arg(self.file.path())
            // The most talkative it can be: the privacy case reads all of it.
            .env("OUBLIETTE_LOG", "trace")
            .stdin(Stdio::null());
        command
    }

    /// `oubliette apply --yes` with the report as JSON.
    pub(crate) fn apply(&self) -> Result<Answer> {
        self.call(&["apply", "--yes", "--output", "json"])
    }

    /// Calls the program and waits for its end.
    pub(crate) fn call(&self, arguments: &[&str]) -> Result<Answer> {
        let output = self.command(arguments).output();
        self.answer(output.context("failed to run oubliette")?)
    }

    /// Begins `oubliette apply --yes` and waits until it is in its middle.
    pub(crate) fn begin(&self, left: impl Fn() -> Result<i64>) -> Result<Call> {
        let before = left()?;
        let call = self.start()?;
        wait_for("the run has changed rows", PATIENCE, || {
            let now = left()?;
            Ok(if now < before {
                Ok(())
            } else {
                Err(now.to_string())
            })
        })?;
        ensure!(left()? > 0, "the run was over too soon to be interrupted");
        Ok(call)
    }

    /// Begins `oubliette apply --yes`.
    pub(crate) fn start(&self) -> Result<Call> {
        let log = NamedTempFile::new()?;
        let child = self
            .command(&["apply", "--yes", "--output", "json"])
            .stdout(Stdio::piped())
            // Nobody reads it meanwhile, and a pipe has its end.
            .stderr(log.reopen()?)
            .spawn()
            .context("failed to run oubliette")?;
        Ok(Call { child, log })
    }

    /// What a call that was begun came to.
    pub(crate) fn end(&self, call: Call) -> Result<Answer> {
        let Call { child, log } = call;
        let output = child.wait_with_output()?;
        let stderr = std::fs::read(log.path())?;
        self.answer(Output { stderr, ..output })
    }

    fn answer(&self, output: Output) -> Result<Answer> {
        let answer = Answer {
            code: output.status.code(),
            out: String::from_utf8(output.stdout)?,
            err: String::from_utf8(output.stderr)?,
        };
        let file = format!("apply-{}-{}.txt", self.database.name, next_number());
        let text = format!("{}\n{}", answer.out, answer.err);
        self.world.keep(&file, &text)?;
        Ok(answer)
    }

    /// Runs statements as the administrator.
    pub(crate) fn sql(&self, sql: &str) -> Result<()> {
        let sql = self.database.fill(sql);
        let done = self.world.block_on(self.database.admin.execute(&sql));
        done.map(drop)
    }

    /// The only number of a query.
    pub(crate) fn number(&self, sql: &str) -> Result<i64> {
        self.world.block_on(self.database.admin.number(sql))
    }

    /// One of the ledger's tables.
    pub(crate) fn ledger(&self, table: &str) -> String {
        let dot = if self.database.server.is_postgres() {
            '.'
        } else {
            '_'
        };
        format!("oubliette{dot}{table}")
    }

    /// Whether there is a ledger.
    pub(crate) fn has_ledger(&self) -> Result<bool> {
        let (schema, table) = if self.database.server.is_postgres() {
            ("oubliette", "meta")
        } else {
            (self.database.name.as_str(), "oubliette_meta")
        };
        let found = self.number(&format!(
            "SELECT count(*) FROM information_schema.tables \
             WHERE table_schema = '{schema}' AND table_name = '{table}'"
        ))?;
        Ok(found > 0)
    }
}

/// A call under way.
pub(crate) struct Call {
    child: Child,
    log: NamedTempFile,
}

impl Call {
    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) -> Result<()> {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status()
            .context("failed to run kill")?;
        ensure!(status.success(), "failed to send {name}");
        Ok(())
    }
}

/// A call on a terminal: what it shows, and a keyboard.
pub(crate) struct Terminal {
    child: Child,
    keyboard: Pty,
    /// Reads to the end of what is shown, which is after the end of the call.
    reader: JoinHandle<()>,
    screen: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// Calls `oubliette apply` on a terminal of its own.
    pub(crate) fn open(desk: &Desk<'_>) -> Result<Self> {
        let file = desk.file.path().to_string_lossy();
        Self::calling(&["apply", "-f", &file])
    }

    /// Calls the program on a terminal of its own.
    pub(crate) fn calling(arguments: &[&str]) -> Result<Self> {
        let (keyboard, inside) = pty_process::blocking::open().context("no terminal")?;
        keyboard.resize(Size::new(60, 200))?;
        let child = pty_process::blocking::Command::new("setpriv")
            .args(["--pdeathsig", "KILL", env!("CARGO_BIN_EXE_oubliette")])
            .args(arguments)
            .spawn(inside)
            .context("failed to run oubliette")?;
        let mut shown = std::fs::File::from(keyboard.as_fd().try_clone_to_owned()?);
        let screen = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&screen);
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // A terminal that nobody has open any more answers with an error.
            while let Ok(n @ 1..) = shown.read(&mut buffer) {
                let mut screen = written.lock().unwrap_or_else(PoisonError::into_inner);
                screen.extend_from_slice(&buffer[..n]);
            }
        });
        Ok(Self {
            child,
            keyboard,
            reader,
            screen,
        })
    }

    fn shown(&self) -> String {
        let screen = self.screen.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&screen).into_owned()
    }

    /// Waits until this is shown.
    pub(crate) fn wait_for(&self, text: &str) -> Result<()> {
        wait_for(&format!("{text:?} is shown"), PATIENCE, || {
            let shown = self.shown();
            Ok(if shown.contains(text) {
                Ok(())
            } else {
                Err(shown)
            })
        })
    }

    /// Types a line when what is typed is not shown.
    pub(crate) fn type_unseen(&mut self, line: &str) -> Result<()> {
        let inside = format!("/proc/{}/fd/0", self.child.id());
        wait_for("nothing that is typed is shown", PATIENCE, || {
            let settings = Command::new("stty").args(["-F", &inside, "-a"]).output()?;
            let settings = String::from_utf8_lossy(&settings.stdout).into_owned();
            Ok(if settings.split_whitespace().any(|word| word == "-echo") {
                Ok(())
            } else {
                Err(settings)
            })
        })?;
        self.keyboard.write_all(format!("{line}\n").as_bytes())?;
        Ok(())
    }

    /// Types, and waits for the end: its code, and all that was shown.
    pub(crate) fn answering(mut self, keys: &str) -> Result<(Option<i32>, String)> {
        self.keyboard.write_all(keys.as_bytes())?;
        self.end()
    }

    /// Types, and waits for the end.
    pub(crate) fn answer(self, desk: &Desk<'_>, keys: &str) -> Result<Answer> {
        let (code, shown) = self.answering(keys)?;
        let file = format!("terminal-{}-{}.txt", desk.database.name, next_number());
        desk.world.keep(&file, &shown)?;
        Ok(Answer {
            code,
            out: shown,
            err: String::new(),
        })
    }

    /// Waits for the end: its code, and all that was shown.
    pub(crate) fn end(mut self) -> Result<(Option<i32>, String)> {
        let status = wait_for("the call ends", Duration::from_mins(2), || {
            Ok(match self.child.try_wait()? {
                Some(status) => Ok(status),
                None => Err(self.shown()),
            })
        })?;
        wait_for("all of it is shown", PATIENCE, || {
            Ok(if self.reader.is_finished() {
                Ok(())
            } else {
                Err(self.shown())
            })
        })?;
        Ok((status.code(), self.shown()))
    }
}
