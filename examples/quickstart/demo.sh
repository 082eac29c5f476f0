#!/bin/sh
# The main job, end to end, on real servers. `make demo` runs this beside a control plane, a PostgreSQL and a MariaDB of
# the test bed (crates/bed), which end with it. KEEP=1 leaves everything running until Enter is pressed.
set -eu
cd "$(dirname "$0")/../.."
here=examples/quickstart
oubliette=${OUBLIETTE:-target/debug/oubliette}
work=target/demo
began=$(date +%s)

say() { printf '\n[%3d s] %s\n' $(($(date +%s) - began)) "$*"; }
show() { printf '$ %s\n' "$*" && "$@"; }
sql() { # DATABASE [STATEMENT]: as the database's administrator; without a statement, from standard input
  case $1 in
  crm) PGPASSWORD=$OUBLIETTE_BED_POSTGRES15_PASSWORD psql -X -q -A -t -v ON_ERROR_STOP=1 -d learning \
    -h "$OUBLIETTE_BED_POSTGRES15_HOST" -p "$OUBLIETTE_BED_POSTGRES15_PORT" -U "$OUBLIETTE_BED_POSTGRES15_USER" ${2:+-c "$2"} ;;
  bookings) MYSQL_PWD=$OUBLIETTE_BED_MARIADB_PASSWORD mariadb -N -B --ssl -h "$OUBLIETTE_BED_MARIADB_HOST" \
    -P "$OUBLIETTE_BED_MARIADB_PORT" -u "$OUBLIETTE_BED_MARIADB_USER" ${2:+-e "$2"} learning ;;
  esac
}
rows() { # what stands in both databases now
  for database in crm bookings; do
    sql $database "SELECT concat('  $database: ',
      (SELECT count(*) FROM enquiries), ' enquiries, ', (SELECT count(*) FROM enquiry_notes), ' notes, ',
      (SELECT count(*) FROM messages), ' messages, ', (SELECT count(*) FROM learners), ' learners, ',
      (SELECT count(*) FROM learners WHERE full_name = 'former learner'), ' of them without a name, ',
      (SELECT count(*) FROM enrolments), ' enrolments')"
  done
}
operator_pid=
start_operator() { # NAME, as the Pod of a Deployment would be called
  KUBECONFIG=$work/operator.kubeconfig setpriv --pdeathsig KILL "$oubliette" operator --identity "$1" \
    --health-address "127.0.0.1:$health" --log-format json >>$work/operator.log 2>&1 &
  operator_pid=$!
}
wait_for() { # MESSAGE COMMAND…: until the command succeeds, for three minutes, with a sign of life
  what=$1 && shift
  printf '  waiting until %s ' "$what"
  for _ in $(seq 180); do
    if "$@" >/dev/null 2>&1; then echo ' yes' && return 0; fi
    kill -0 "$operator_pid" 2>/dev/null || { echo " the operator has ended; see $work/operator.log" && return 1; }
    printf . && sleep 1
  done
  echo " no; see $work/operator.log" && show kubectl get orp,odb -A -o wide && return 1
}
trap '[ -z "$operator_pid" ] || kill "$operator_pid" 2>/dev/null || true' EXIT
trap 'exit 1' INT TERM
rm -rf $work && mkdir -p $work

say 'Two existing databases: crm (PostgreSQL) and bookings (MariaDB), with made-up records of adult learners'
for database in crm bookings; do
  [ $database = crm ] && create='CREATE DATABASE learning' || create='CREATE DATABASE learning CHARACTER SET utf8mb4'
  case $database in
  crm) PGPASSWORD=$OUBLIETTE_BED_POSTGRES15_PASSWORD psql -X -q -d postgres -h "$OUBLIETTE_BED_POSTGRES15_HOST" \
    -p "$OUBLIETTE_BED_POSTGRES15_PORT" -U "$OUBLIETTE_BED_POSTGRES15_USER" -c "$create" ;;
  bookings) MYSQL_PWD=$OUBLIETTE_BED_MARIADB_PASSWORD mariadb --ssl -h "$OUBLIETTE_BED_MARIADB_HOST" \
    -P "$OUBLIETTE_BED_MARIADB_PORT" -u "$OUBLIETTE_BED_MARIADB_USER" -e "$create" ;;
  esac
  sql $database <$here/sample-$database.sql >/dev/null
done
rows

say 'The chart: custom resources, a ServiceAccount with the least rights, admission policies'
kubectl create namespace oubliette-system >/dev/null
helm template oubliette charts/oubliette --namespace oubliette-system --set image.repository=none >$work/chart.yaml
show kubectl apply --server-side -f $work/chart.yaml | grep -v 'deployment\|^service/'
kubectl wait --for=condition=Established crd --all --timeout=60s >/dev/null
kubectl delete deployment --all -n oubliette-system >/dev/null # there is no node: the operator runs as a process

say 'A database user of its own, with what the policies need and nothing else'
password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
sql crm "CREATE ROLE oubliette LOGIN PASSWORD '$password'"
sql bookings "CREATE USER oubliette IDENTIFIED BY '$password'"
for database in crm bookings; do
  printf '$ oubliette grants --user oubliette -f %s -f %s\n' $here/database-$database.yaml $here/policy-$database.yaml
  $oubliette grants --user oubliette -f $here/database-$database.yaml -f $here/policy-$database.yaml | tee $work/grants.sql
  sql $database <$work/grants.sql
done

say 'Manifests, as DryRun: nothing may change yet'
kubectl create namespace adult-learning >/dev/null
for database in crm bookings; do
  kubectl create secret generic $database-oubliette -n adult-learning \
    --from-literal=username=oubliette --from-literal=password="$password" >/dev/null
  kubectl create configmap $database-ca -n adult-learning --from-file=ca.crt="$OUBLIETTE_BED_CA" >/dev/null
done
kubectl create secret generic pseudonyms -n adult-learning --from-literal=key="$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')" >/dev/null
# The manifests name services of a cluster; here the servers listen on this machine.
sed "s/crm.example.svc/$OUBLIETTE_BED_POSTGRES15_HOST/; s/port: 5432/port: $OUBLIETTE_BED_POSTGRES15_PORT/" \
  $here/database-crm.yaml >$work/database-crm.yaml
sed "s/bookings.example.svc/$OUBLIETTE_BED_MARIADB_HOST/; s/port: 3306/port: $OUBLIETTE_BED_MARIADB_PORT/" \
  $here/database-bookings.yaml >$work/database-bookings.yaml
cp $here/policy-*.yaml $work
$oubliette rbac -f $work/database-crm.yaml -f $work/database-bookings.yaml -f $work/policy-crm.yaml \
  -f $work/policy-bookings.yaml >$work/rbac.yaml
show kubectl apply -f $work/rbac.yaml | grep -v rolebinding
show kubectl apply -f $work/database-crm.yaml -f $work/database-bookings.yaml -f $work/policy-crm.yaml -f $work/policy-bookings.yaml

say "The operator, with its ServiceAccount's own token (log: $work/operator.log)"
KUBECONFIG_ADMIN=$KUBECONFIG
cp "$KUBECONFIG_ADMIN" $work/operator.kubeconfig && chmod 600 $work/operator.kubeconfig
KUBECONFIG=$work/operator.kubeconfig kubectl config set-credentials operator \
  --token="$(kubectl create token oubliette -n oubliette-system --duration=2h)" >/dev/null
KUBECONFIG=$work/operator.kubeconfig kubectl config set-context --current --user=operator >/dev/null
health=$((20000 + $$ % 10000))
start_operator oubliette-1
condition() { kubectl get orp "$1" -n adult-learning -o 'jsonpath={.status.conditions[?(@.type=="Ready")].reason}' | grep -qx "$2"; }
both() { condition crm "$1" && condition bookings "$1"; }
wait_for 'both plans stand' both DryRun
show kubectl get odb -n adult-learning
show kubectl get orp -n adult-learning
rows

say 'Enforce, now'
for policy in crm bookings; do
  show kubectl patch orp $policy -n adult-learning --type=merge -p '{"spec": {"mode": "Enforce"}}'
done
wait_for 'both have read it' both Scheduled
expired_left() { sql crm "SELECT count(*) FROM messages WHERE sent_at < now() - interval '1 year'"; }
before=$(expired_left)
show kubectl annotate orp --all -n adult-learning oubliette.dev/run-now=demo
under_way() { [ "$(expired_left)" -lt "$before" ]; }
wait_for 'the run has deleted the first messages' under_way

say 'kill -9: the operator dies in the middle of the run'
kill -9 "$operator_pid"
wait "$operator_pid" 2>/dev/null || true
rows
say 'Another one takes over as soon as the Lease of the dead one has expired, and goes on where it stopped'
start_operator oubliette-2
done_with() { kubectl get orp "$1" -n adult-learning -o 'jsonpath={.status.handledRunNow} {.status.lastRun.run} {.status.lastRun.outcome.type}' | grep -q '^demo .*demo.* Completed$'; }
both_done() { done_with crm && done_with bookings; }
wait_for 'both runs are complete' both_done
show kubectl wait orp --all -n adult-learning --for=condition=Ready --timeout=60s

say 'Afterwards'
rows
show kubectl get orp -n adult-learning
printf '$ kubectl get orp crm -n adult-learning -o jsonpath={.status.lastRun}\n'
kubectl get orp crm -n adult-learning -o 'jsonpath={range .status.lastRun.rules[*]}  {.rule}: {range .changed[*]}{.rows} {.table} {.effect}, {end}left over {.residual}{"\n"}{end}'
printf '  evidence %s\n' "$(kubectl get orp crm -n adult-learning -o 'jsonpath={.status.ledgerHead}')"

if [ -n "${KEEP:-}" ]; then
  say 'Everything goes on running. In another terminal:'
  printf '  export KUBECONFIG=%s\n  export PATH=%s:$PATH\n  kubectl get orp -n adult-learning\n' "$KUBECONFIG" "${KUBEBUILDER_ASSETS:-}"
  printf 'Enter ends it. ' && read -r _
fi
say 'Done; the servers end with this.'
