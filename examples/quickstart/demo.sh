#!/bin/sh
# The main job, end to end, on real servers. `make demo` runs this beside a control plane, a PostgreSQL and a MariaDB of
# the test bed (crates/bed), which end with it. KEEP=1 leaves everything running until Enter is pressed.
set -eu
cd "$(dirname "$0")/../.."
here=examples/quickstart
work=target/demo
oubliette() { "${OUBLIETTE:-target/debug/oubliette}" "$@"; }
began=$(date +%s)

say() { printf '\n[%3d s] %s\n' $(($(date +%s) - began)) "$*"; }
show() { # prints a command as one would type it, and runs it
  printf '$'
  for word; do
    case $word in *[!A-Za-z0-9_./:=,@-]*) printf " '%s'" "$word" ;; *) printf ' %s' "$word" ;; esac
  done
  echo && "$@"
}
postgres() { # DATABASE ARGUMENTS…: the PostgreSQL administrator's psql
  database=$1 && shift
  PGPASSWORD=$OUBLIETTE_BED_POSTGRES15_PASSWORD psql -X -q -A -t -v ON_ERROR_STOP=1 -d "$database" \
    -h "$OUBLIETTE_BED_POSTGRES15_HOST" -p "$OUBLIETTE_BED_POSTGRES15_PORT" -U "$OUBLIETTE_BED_POSTGRES15_USER" "$@"
}
mariadb_() { # DATABASE ARGUMENTS…: the MariaDB administrator's mariadb
  database=$1 && shift
  MYSQL_PWD=$OUBLIETTE_BED_MARIADB_PASSWORD mariadb -N -B --ssl -h "$OUBLIETTE_BED_MARIADB_HOST" \
    -P "$OUBLIETTE_BED_MARIADB_PORT" -u "$OUBLIETTE_BED_MARIADB_USER" "$@" "$database"
}
rows() { # what stands in both databases now
  question="SELECT concat((SELECT count(*) FROM enquiries), ' enquiries, ', (SELECT count(*) FROM enquiry_notes), ' notes, ',
    (SELECT count(*) FROM messages), ' messages, ', (SELECT count(*) FROM learners), ' learners (',
    (SELECT count(*) FROM learners WHERE full_name = 'erased'), ' anonymised), ', (SELECT count(*) FROM enrolments), ' enrolments')"
  printf '  learning: %s\n' "$(postgres learning -c "$question")"
  printf '  library:  %s\n' "$(mariadb_ library -e "$question")"
}
operator_pid=
start_operator() { # NAME, as the Pod of a Deployment would be called
  KUBECONFIG=$work/operator.kubeconfig setpriv --pdeathsig KILL "${OUBLIETTE:-target/debug/oubliette}" operator \
    --identity "$1" --health-address "127.0.0.1:$health" >>$work/operator.log 2>&1 &
  operator_pid=$!
}
wait_for() { # MESSAGE COMMAND…: until the command succeeds, with a sign of life, for three minutes
  what=$1 && shift
  printf '  waiting until %s ' "$what"
  for _ in $(seq 180); do
    if "$@" >/dev/null 2>&1; then echo ' yes' && return 0; fi
    kill -0 "$operator_pid" 2>/dev/null || { echo " no: the operator has ended; see $work/operator.log" && return 1; }
    printf . && sleep 1
  done
  echo " no; see $work/operator.log"
  kubectl get odb,orp -o yaml
  return 1
}
trap '[ -z "$operator_pid" ] || kill "$operator_pid" 2>/dev/null || true' EXIT
trap 'exit 1' INT TERM
rm -rf $work && mkdir -p $work

say 'Two databases of an adult-learning college that exist already: learning (PostgreSQL) and library (MariaDB)'
postgres postgres -c 'CREATE DATABASE learning'
mariadb_ mysql -e 'CREATE DATABASE library CHARACTER SET utf8mb4'
cat $here/schema.postgres.sql $here/rows.postgres.sql | postgres learning
cat $here/schema.mariadb.sql $here/rows.mariadb.sql | mariadb_ library >/dev/null
rows

say 'The chart: custom resources, a ServiceAccount with the least rights, admission policies'
kubectl create namespace oubliette-system >/dev/null
helm template oubliette charts/oubliette --namespace oubliette-system --set image.repository=none --set replicas=0 >$work/chart.yaml
show kubectl apply --server-side -f $work/chart.yaml
kubectl wait --for=condition=Established crd/retentionpolicies.oubliette.dev crd/targetdatabases.oubliette.dev crd/approvals.oubliette.dev --timeout=60s >/dev/null

say "What the databases' administrator grants: what these policies need and nothing else"
password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
postgres learning -c "CREATE ROLE oubliette LOGIN PASSWORD '$password'"
mariadb_ library -e "CREATE USER oubliette IDENTIFIED BY '$password'"
printf '$ oubliette grants --user oubliette -n learning -f %s\n' $here
oubliette grants --user oubliette -n learning -f $here | tee $work/grants.sql
sed -n '/^-- .*learning$/,/^-- .*library$/p' $work/grants.sql | postgres learning
sed -n '/^-- .*library$/,$p' $work/grants.sql | mariadb_ library

say 'The manifests, as DryRun: nothing may change yet'
kubectl create namespace learning >/dev/null
kubectl config set-context --current --namespace=learning >/dev/null
for secret in learning-postgres library-mariadb; do
  kubectl create secret generic $secret --from-literal=username=oubliette --from-literal=password="$password" >/dev/null
done
kubectl create secret generic pseudonyms --type=oubliette.dev/pseudonym-key --from-literal=key="$(head -c 32 /dev/urandom | base64)" >/dev/null
kubectl create configmap database-ca --from-file=ca.crt="$OUBLIETTE_BED_CA" >/dev/null
printf '$ oubliette rbac -n learning -f %s | kubectl apply -f -\n' $here
oubliette rbac -n learning -f $here | kubectl apply -f -
# The manifests name services of a cluster; here the servers listen on this machine. Nothing else differs.
sed "s/postgres.learning.svc/$OUBLIETTE_BED_POSTGRES15_HOST/; s/port: 5432/port: $OUBLIETTE_BED_POSTGRES15_PORT/
  s/mariadb.learning.svc/$OUBLIETTE_BED_MARIADB_HOST/; s/port: 3306/port: $OUBLIETTE_BED_MARIADB_PORT/" $here/databases.yaml >$work/databases.yaml
show kubectl apply -f $work/databases.yaml -f $here/policies.yaml

say "The operator, with its ServiceAccount's own token (log: $work/operator.log)"
cp "$KUBECONFIG" $work/operator.kubeconfig && chmod 600 $work/operator.kubeconfig
KUBECONFIG=$work/operator.kubeconfig kubectl config set-credentials operator \
  --token="$(kubectl create token oubliette -n oubliette-system --duration=2h)" >/dev/null
KUBECONFIG=$work/operator.kubeconfig kubectl config set-context --current --user=operator >/dev/null
health=$((20000 + $$ % 10000))
start_operator oubliette-1
reason() { kubectl get orp "$1" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].reason}'; }
both() { [ "$(reason learning)" = "$1" ] && [ "$(reason library)" = "$1" ]; }
wait_for 'both plans stand' both DryRun
show kubectl get odb
show kubectl get orp
rows

say 'The data protection officer, who may approve and change nothing else, approves both plans'
kubectl create serviceaccount dpo >/dev/null
kubectl create rolebinding dpo --clusterrole=oubliette-approve --serviceaccount=learning:dpo >/dev/null
cp "$KUBECONFIG" $work/dpo.kubeconfig && chmod 600 $work/dpo.kubeconfig
KUBECONFIG=$work/dpo.kubeconfig kubectl config set-credentials dpo --token="$(kubectl create token dpo --duration=2h)" >/dev/null
KUBECONFIG=$work/dpo.kubeconfig kubectl config set-context --current --user=dpo >/dev/null
for policy in learning library; do
  printf '$ oubliette kubectl approve %s --ground CHG-1042 --yes\n' $policy
  KUBECONFIG=$work/dpo.kubeconfig oubliette kubectl approve $policy --ground CHG-1042 --yes
done
show kubectl wait orp --all --for=condition=Approved --timeout=60s
show kubectl get oap

say 'Enforce, and run now instead of at night'
for policy in learning library; do
  show kubectl patch orp $policy --type=merge -p '{"spec": {"mode": "Enforce"}}'
done
wait_for 'both have read it' both Scheduled
messages() { postgres learning -c 'SELECT count(*) FROM messages'; }
before=$(messages)
show kubectl annotate orp --all oubliette.dev/run-now=demo
under_way() { [ "$(messages)" -lt "$before" ]; }
wait_for 'the first messages are gone' under_way
show kubectl get orp

say 'kill -9: the operator dies in the middle of both runs'
kill -9 "$operator_pid"
wait "$operator_pid" 2>/dev/null || true
rows

say "Another one takes over when the dead one's Lease has expired, and goes on where it stopped"
start_operator oubliette-2
# Among all runs: at the time of its schedule another one may have followed.
finished() { kubectl get orp "$1" -o 'jsonpath={range .status.history[*]}{.run} {.outcome}{"\n"}{end}' | grep -q 'demo Completed$'; }
both_finished() { finished learning && finished library; }
wait_for 'both runs are complete' both_finished
show kubectl wait orp --all --for=condition=Ready --timeout=60s

say 'Afterwards'
rows
show kubectl get orp
for policy in learning library; do
  printf '$ kubectl get orp %s -o yaml    # in short\n' $policy
  kubectl get orp $policy -o 'jsonpath={range .status.lastRun.rules[*]}  {.rule}: {range .changed[*]}{.rows} {.table} {.effect}; {end}{"\n"}{end}  evidence: {.status.ledgerHead}{"\n"}'
done

kubectl get odb,orp,oap -o yaml >$work/status.yaml

if [ -n "${KEEP:-}" ]; then
  say 'Everything goes on running. In another terminal:'
  printf '  export KUBECONFIG=%s PATH=%s:"$PATH"\n  kubectl get orp\n' "$KUBECONFIG" "${KUBEBUILDER_ASSETS:-}"
  printf 'Enter ends it. ' && read -r _
fi
say 'Done. The servers end with this.'
