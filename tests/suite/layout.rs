//! A built image as an OCI layout: what is in it, and its program at work with nothing else around.

use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use oubliette::database::PUBLIC_AUTHORITIES;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::applied::desk;
use crate::case::Server;
use crate::image::charts_user;
use crate::world::World;

/// The architectures as images name them, Rust, and the header of a program.
const ARCHITECTURES: [(&str, &str, u16); 2] = [("amd64", "x86_64", 62), ("arm64", "aarch64", 183)];

/// What is in the image besides folders, and who may do what with it.
fn contents() -> [(&'static str, u32); 3] {
    [
        ("/LICENSE", 0o644),
        ("/oubliette", 0o755),
        (PUBLIC_AUTHORITIES, 0o644),
    ]
}

/// One image for each architecture, with the contents and the user that it should have.
pub(crate) fn is_what_it_should_be(layout: &Path) -> Result<()> {
    let user = charts_user()?;
    for (architecture, rusts, machine) in ARCHITECTURES {
        let image = Image::unpack(layout, architecture)?;
        let config = &image.config["config"];
        ensure!(config["User"] == user.as_str(), "{config}");
        ensure!(config["Entrypoint"] == json!(["/oubliette"]), "{config}");
        ensure!(image.config["architecture"] == architecture);

        let root = image.root.path();
        let mut found = BTreeSet::new();
        files(root, &mut found)?;
        let wanted = contents();
        let paths: BTreeSet<PathBuf> = wanted.iter().map(|(path, _)| inside(root, path)).collect();
        ensure!(found == paths, "{architecture} holds {found:?}");
        for (path, mode) in wanted {
            let metadata = inside(root, path).metadata()?;
            let seen = metadata.permissions().mode() & 0o7777;
            ensure!(seen == mode, "{path} has the mode {seen:o}");
        }
        let program = root.join("oubliette");
        is_static(&program, machine).with_context(|| architecture.to_owned())?;
        let native = std::env::consts::ARCH == rusts;
        let version = if native {
            Command::new(&program).arg("--version").output()?
        } else {
            let emulator = format!("qemu-{rusts}-static");
            let run = Command::new(&emulator)
                .arg(&program)
                .arg("--version")
                .output();
            // Whoever has no emulator has seen the header.
            let Ok(output) = run else { continue };
            output
        };
        let version = String::from_utf8(version.stdout)?;
        ensure!(
            version.trim() == format!("oubliette {}", env!("CARGO_PKG_VERSION")),
            "{architecture} says {version:?}"
        );
    }
    Ok(())
}

/// The image's program plans what this repository's does, alone in the image as the image's user,
/// and believes the authorities that it should and no others.
pub(crate) fn plans(world: &World, layout: &Path) -> Result<()> {
    let native = ARCHITECTURES
        .iter()
        .find(|(_, rusts, _)| *rusts == std::env::consts::ARCH);
    let (architecture, ..) = native.context("there is no image for this machine")?;
    let image = Image::unpack(layout, architecture)?;
    let authorities = inside(image.root.path(), PUBLIC_AUTHORITIES);
    let desk = desk(world, Server::Postgres15, "image")?;
    let first = desk
        .call(&["plan", "--output", "json"])?
        .expect(2)?
        .report()?;
    let plan = &first["policies"][0]["plan"];
    let as_of = plan["asOf"].as_str().context("the plan has no instant")?;
    let plans = |objects: &[Value]| -> Result<(Option<i32>, Value)> {
        let (code, out) = image.run(&["plan", "--output", "json", "--as-of", as_of], objects)?;
        let report = serde_json::from_str(&out).with_context(|| format!("not JSON: {out}"))?;
        Ok((code, report))
    };
    let (code, report) = plans(&desk.objects)?;
    ensure!(code == Some(2), "{report}");
    ensure!(
        &report["policies"][0]["plan"] == plan,
        "{report} is not {first}"
    );

    let tls = |settings: Value| {
        let mut objects = desk.objects.clone();
        objects[0]["spec"]["connection"]["tls"] = settings;
        objects
    };
    let refused = |objects: &[Value]| -> Result<()> {
        let (code, report) = plans(objects)?;
        let reason = &report["policies"][0]["refusals"][0]["reason"];
        ensure!(
            code == Some(1) && reason == "CertificateInvalid",
            "{report}"
        );
        Ok(())
    };
    // The public authorities know nothing of the bed's.
    refused(&tls(json!({"mode": "VerifyFull"})))?;
    // Were it one of them, it would be believed where no other one is named, and only there.
    std::fs::copy(&desk.database.endpoint.ca, &authorities)?;
    let (code, report) = plans(&tls(json!({"mode": "VerifyFull"})))?;
    ensure!(code == Some(2), "{report}");
    for mode in ["VerifyFull", "VerifyCa"] {
        let ca = json!({"configMapRef": {"name": "stranger", "key": "ca.crt"}});
        let mut objects = tls(json!({"mode": mode, "ca": ca}));
        objects.push(json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "stranger"},
            "data": {"ca.crt": bed::Authority::new()?.pem()},
        }));
        refused(&objects).with_context(|| mode.to_owned())?;
    }
    Ok(())
}

/// An image of a layout, unpacked.
struct Image {
    config: Value,
    root: TempDir,
}

impl Image {
    fn unpack(layout: &Path, architecture: &str) -> Result<Self> {
        let index: Value = serde_json::from_slice(&std::fs::read(layout.join("index.json"))?)?;
        let [image] = listed(&index)? else {
            bail!("the layout has not one image: {index}");
        };
        let list = document(layout, image)?;
        let images = listed(&list)?;
        ensure!(images.len() == ARCHITECTURES.len(), "{list}");
        let platform = json!({"architecture": architecture, "os": "linux"});
        let mut found = images.iter();
        let image = found
            .find(|image| image["platform"] == platform)
            .with_context(|| format!("no image is for {architecture}: {list}"))?;
        let manifest = document(layout, image)?;
        let root = tempfile::tempdir()?;
        // The image's user has to come in.
        std::fs::set_permissions(root.path(), PermissionsExt::from_mode(0o755))?;
        for layer in manifest["layers"].as_array().context("no layers")? {
            let unpacked = Command::new("tar")
                .args(["--extract", "--gzip", "--same-permissions", "--file"])
                .arg(blob(layout, layer)?)
                .arg("--directory")
                .arg(root.path())
                .status()?;
            ensure!(unpacked.success(), "a layer cannot be unpacked");
        }
        let config = document(layout, &manifest["config"])?;
        Ok(Self { config, root })
    }

    /// Its program with `-f -` and these objects: exit code and output.
    fn run(&self, arguments: &[&str], objects: &[Value]) -> Result<(Option<i32>, String)> {
        let mut child = Command::new("chroot")
            .arg(format!("--userspec={}", charts_user()?))
            .arg("--groups=")
            .arg(self.root.path())
            .arg("/oubliette")
            .args(arguments)
            .args(["-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("failed to run chroot, which needs root")?;
        let text: Vec<String> = objects.iter().map(Value::to_string).collect();
        let mut pipe = child.stdin.take().context("the program has no input")?;
        pipe.write_all(text.join("\n---\n").as_bytes())?;
        drop(pipe);
        let output = child.wait_with_output()?;
        Ok((output.status.code(), String::from_utf8(output.stdout)?))
    }
}

fn listed(index: &Value) -> Result<&[Value]> {
    let images = index["manifests"].as_array();
    images.map(Vec::as_slice).context("an index lists nothing")
}

fn blob(layout: &Path, descriptor: &Value) -> Result<PathBuf> {
    let digest = descriptor["digest"].as_str().context("no digest")?;
    let (kind, hash) = digest.split_once(':').context("a digest of no kind")?;
    Ok(layout.join("blobs").join(kind).join(hash))
}

fn document(layout: &Path, descriptor: &Value) -> Result<Value> {
    let bytes = std::fs::read(blob(layout, descriptor)?)?;
    Ok(serde_json::from_slice(&bytes)?)
}

fn inside(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

/// Everything that is no folder. Nobody but its owner may write into one.
fn files(folder: &Path, found: &mut BTreeSet<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let metadata = path.symlink_metadata()?;
        if metadata.is_dir() {
            ensure!(metadata.mode() & 0o022 == 0, "{}", path.display());
            files(&path, found)?;
        } else {
            found.insert(path);
        }
    }
    Ok(())
}

/// A program for this machine that asks for no loader.
fn is_static(program: &Path, machine: u16) -> Result<()> {
    const LOADER: u32 = 3;
    let bytes = std::fs::read(program)?;
    let at = |place: usize, size: usize| -> Result<u64> {
        let part = bytes.get(place..place + size).context("it is cut off")?;
        Ok(part
            .iter()
            .rev()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    };
    ensure!(bytes.starts_with(b"\x7fELF\x02\x01"), "no 64-bit ELF");
    ensure!(
        at(0x12, 2)? == u64::from(machine),
        "machine {}",
        at(0x12, 2)?
    );
    let (table, size, count) = (at(0x20, 8)?, at(0x36, 2)?, at(0x38, 2)?);
    ensure!(count > 0, "nothing is loaded");
    for header in 0..count {
        let place = usize::try_from(table + header * size)?;
        ensure!(at(place, 4)? != u64::from(LOADER), "it asks for a loader");
    }
    Ok(())
}
