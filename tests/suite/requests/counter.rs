//! Where persons' requests are filed and decided about, whatever the databases are.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::office::{REQUEST, condition};
use crate::approvers::{bind, creates};
use crate::askers::{request, requests_in};
use crate::chart;
use crate::cluster::{API_VERSION, Namespace, is_current, resource};
use crate::operator::{Operator, Settings};
use crate::rights::Account;
use crate::servers;
use crate::sql::next_number;
use crate::wait::{PATIENCE, wait_for};
use crate::world::World;

/// A namespace for requests: dpo files, lead approves.
pub(crate) struct Counter<'w> {
    pub(crate) world: &'w World,
    pub(crate) namespace: Namespace<'w>,
}

impl<'w> Counter<'w> {
    pub(crate) fn open(world: &'w World, case: &str) -> Result<Self> {
        let namespace = world.namespace(case)?;
        for person in ["dpo", "lead"] {
            bind(&namespace, person, "ClusterRole", "oubliette-dpo")?;
        }
        requests_in(&namespace)?;
        Ok(Self { world, namespace })
    }

    /// An operator for this namespace only. Its Lease is its own, so that it waits for none that was killed.
    pub(crate) fn operator(&self, arguments: &[&str]) -> Result<Operator> {
        let lease = format!("requests-{}", next_number());
        chart::allow_lease(self.world, &lease)?;
        Operator::start_with(
            &Settings {
                lease: lease.clone(),
                log: self.world.evidence.join(format!("operator-{lease}.log")),
                identity: lease,
                watch_namespaces: vec![self.namespace.name.clone()],
                kubeconfig: chart::operator_kubeconfig(self.world)?,
                health: servers::free_address()?,
            },
            arguments,
        )
    }

    /// The Secret of the request of that name.
    pub(crate) fn secret(&self, name: &str, kind: &str, known: &Value) -> Result<()> {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": kind, "immutable": true,
            "metadata": {"name": format!("{name}-subject"), "namespace": self.namespace.name},
            "stringData": known,
        });
        self.namespace.apply_value(&secret).map(drop)
    }

    /// The dpo files a request, with this in its spec.
    pub(crate) fn file_with(&self, name: &str, more: &Value) -> Result<()> {
        let mut object = request(&self.namespace, name, "dpo");
        for (field, value) in more.as_object().into_iter().flatten() {
            object["spec"][field] = value.clone();
        }
        creates(&self.person("dpo")?, &object)
    }

    pub(crate) fn person(&self, name: &str) -> Result<Account<'w>> {
        Account::of_person(self.world, name)
    }

    /// Waits until the request is in that state.
    pub(crate) fn state(&self, name: &str, state: &str) -> Result<Value> {
        let what = format!("is in the state {state}");
        self.namespace
            .wait_until(REQUEST, name, &what, PATIENCE, |object| {
                if object.pointer("/status/state") == Some(&json!(state)) && is_current(object) {
                    Ok(())
                } else {
                    Err("another one".to_owned())
                }
            })
    }

    pub(crate) fn reason(&self, name: &str, reason: &str) -> Result<Value> {
        self.namespace.wait_reason(REQUEST, name, reason)
    }

    pub(crate) fn digest(&self, name: &str) -> Result<Value> {
        let seen = self.namespace.get(REQUEST, name)?;
        let digest = seen.pointer("/status/plan/digest").context("no plan")?;
        Ok(digest.clone())
    }

    /// Somebody approves that plan.
    pub(crate) fn approve(&self, name: &str, by: &str, digest: &Value, rows: i64) -> Result<()> {
        self.decide(name, by, "Approve", digest, Some(rows))
            .map(drop)
    }

    pub(crate) fn decide(
        &self,
        name: &str,
        by: &str,
        decision: &str,
        digest: &Value,
        rows: Option<i64>,
    ) -> Result<String> {
        let seen = self.namespace.get(REQUEST, name)?;
        let own = format!("approval-{}", next_number());
        let mut approval = json!({
            "apiVersion": API_VERSION, "kind": "Approval",
            "metadata": {
                "name": own, "namespace": self.namespace.name,
            },
            "spec": {
                "targetRef": {"kind": REQUEST, "name": name, "uid": seen["metadata"]["uid"]},
                "decision": decision, "planDigest": digest, "by": by,
            },
        });
        if let Some(rows) = rows {
            approval["spec"]["maxRows"] = json!(rows);
        }
        creates(&self.person(by)?, &approval)?;
        Ok(own)
    }

    pub(crate) fn patch(&self, name: &str, spec: &Value) -> Result<()> {
        let patch = json!({"spec": spec}).to_string();
        let namespace = self.namespace.name.as_str();
        let arguments = [
            "patch",
            "oer",
            name,
            "--type=merge",
            "-n",
            namespace,
            "-p",
            &patch,
        ];
        self.person("dpo")?.may(&arguments, "")
    }

    pub(crate) fn reply(&self, name: &str) -> Result<()> {
        self.patch(name, &json!({"reply": {"sentAt": "2026-11-20T09:00:00Z"}}))
    }

    /// Waits until a request is gone.
    pub(crate) fn wait_gone(&self, name: &str) -> Result<()> {
        let kind = resource(API_VERSION, REQUEST);
        wait_for("the request is gone", PATIENCE, || {
            Ok(match self.namespace.find_any(&kind, name)? {
                None => Ok(()),
                Some(object) => Err(object.to_string()),
            })
        })
    }

    /// Waits until Approved has this reason.
    pub(crate) fn approved(&self, name: &str, reason: &str) -> Result<Value> {
        let what = format!("says of its approval: {reason}");
        self.namespace
            .wait_until(REQUEST, name, &what, PATIENCE, |object| {
                match condition(object, "Approved") {
                    Some(seen) if seen["reason"] == reason => Ok(()),
                    other => Err(format!("Approved is {other:?}")),
                }
            })
    }

    pub(crate) fn no_secret(&self, name: &str) -> Result<()> {
        let name = format!("{name}-subject");
        let secret = self.namespace.find_any(&resource("v1", "Secret"), &name)?;
        ensure!(secret.is_none(), "the Secret {name} is still there");
        Ok(())
    }
}
