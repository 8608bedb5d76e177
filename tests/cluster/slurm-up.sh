#!/usr/bin/env bash
# A real Slurm on one machine, from nothing (Debian 12, as root, no systemd): munged, slurmctld, some
# slurmd with a GPU each that is none, and slurmdbd if asked for. Ended by slurm-down.sh.
#
#   SLURM_TEST   folder of everything (/tmp/logdepth-slurm)
#   NODES CPUS MEM   number of nodes (2), CPUs (4) and MB of memory (20000) that each claims to have
#   DBD          1 for accounting with slurmdbd and MariaDB
#   PORT         first of about 20 ports (17000)
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
s=${SLURM_TEST:-/tmp/logdepth-slurm}
nodes=${NODES:-2} cpus=${CPUS:-4} mem=${MEM:-20000} dbd=${DBD:-0} port=${PORT:-17000}
host=$(hostname -s)

fail() {
    echo "slurm-up: error: $*" >&2
    exit 1
}
wait_for() { # wait_for SECONDS WHAT COMMAND...
    local seconds=$1 what=$2
    shift 2
    for _ in $(seq $((10 * seconds))); do
        if "$@" >/dev/null 2>&1; then return; fi
        sleep 0.1
    done
    fail "$what did not come up within $seconds s; see $s/log"
}
started() { # started FILE NAME: a daemon to be ended, last one first
    {
        echo "$(cat "$1") $2"
        if [ -f "$s/pids" ]; then cat "$s/pids"; fi
    } >"$s/pids.new"
    mv "$s/pids.new" "$s/pids"
}

[ "$(id -u)" = 0 ] || fail "must be root"
if [ -f "$s/pids" ]; then
    if SLURM_CONF=$s/etc/slurm.conf scontrol ping 2>/dev/null | grep -q UP; then
        echo "slurm-up: already up in $s" >&2
        exit
    fi
    "$(dirname "$0")/slurm-down.sh"
fi
wanted=(slurm-wlm munge)
[ "$dbd" != 1 ] || wanted+=(slurmdbd mariadb-server)
if ! dpkg -s "${wanted[@]}" >/dev/null 2>&1; then
    # Nothing is to be started by the packages themselves.
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod +x /usr/sbin/policy-rc.d
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null
fi

rm -rf "$s"
mkdir -p "$s"/{etc,state,log,run,munge}
chmod 755 "$s" "$s"/*
chmod 700 "$s/state"
chmod 711 "$s/munge"
(umask 077 && head -c 1024 /dev/urandom >"$s/munge/munge.key")
munged --force --key-file="$s/munge/munge.key" --socket="$s/run/munge.socket" \
    --pid-file="$s/run/munged.pid" --log-file="$s/log/munged.log" \
    --seed-file="$s/munge/seed" --num-threads=2
started "$s/run/munged.pid" munged

storage=none
accounting=
if [ "$dbd" = 1 ]; then
    storage=slurmdbd
    accounting="AccountingStorageHost=127.0.0.1
AccountingStoragePort=$((port + 1))
AccountingStoragePass=$s/run/munge.socket
AccountingStorageEnforce=associations,qos
AccountingStorageTRES=gres/gpu"
fi
# cred_expire and sched_interval: a job that is put back into the queue starts within seconds and
# not minutes. MinJobAge: squeue still knows jobs that have ended. OverMemoryKill: no cgroups here.
cat >"$s/etc/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$s/run/munge.socket,cred_expire=5
CredType=cred/munge
SlurmctldPort=$port
StateSaveLocation=$s/state
SlurmdSpoolDir=$s/spool-%n
SlurmctldPidFile=$s/run/slurmctld.pid
SlurmdPidFile=$s/run/slurmd-%n.pid
SlurmctldLogFile=$s/log/slurmctld.log
SlurmdLogFile=$s/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
SlurmdParameters=config_overrides
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,bf_interval=1,sched_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
ReturnToService=2
MinJobAge=3600
KillWait=30
OverTimeLimit=0
MessageTimeout=30
SlurmdTimeout=10
GresTypes=gpu
AccountingStorageType=accounting_storage/$storage
$accounting
NodeName=n[1-$nodes] NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + 11))-$((port + 10 + nodes)) CPUs=$cpus RealMemory=$mem Gres=gpu:1 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1 OverSubscribe=NO
PartitionName=urgent Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=10 OverSubscribe=NO
CONF
# Slurm wants a device file for each GPU; any will do.
echo "NodeName=n[1-$nodes] Name=gpu File=/dev/null" >"$s/etc/gres.conf"
export SLURM_CONF=$s/etc/slurm.conf
# Found there by jobs and by shells that do not know SLURM_CONF.
mkdir -p /etc/slurm
for name in slurm gres; do
    [ ! -e "/etc/slurm/$name.conf" ] || [ -L "/etc/slurm/$name.conf" ] ||
        fail "/etc/slurm/$name.conf is of another cluster"
    ln -sfn "$s/etc/$name.conf" "/etc/slurm/$name.conf"
done

if [ "$dbd" = 1 ]; then
    mkdir -p "$s/db" "$s/run/db"
    touch "$s/log/mariadb.log"
    chown mysql "$s/db" "$s/run/db" "$s/log/mariadb.log"
    mariadb-install-db --user=mysql --datadir="$s/db" --auth-root-authentication-method=normal \
        --skip-test-db >"$s/log/mariadb-install.log" 2>&1
    setsid nohup mariadbd --no-defaults --user=mysql --datadir="$s/db" \
        --socket="$s/run/db/mysql.sock" --pid-file="$s/run/db/mysql.pid" \
        --bind-address=127.0.0.1 --port=$((port + 2)) --innodb-buffer-pool-size=64M \
        --innodb-flush-log-at-trx-commit=0 --log-error="$s/log/mariadb.log" \
        >/dev/null 2>&1 </dev/null &
    wait_for 20 mariadbd mariadb-admin -S "$s/run/db/mysql.sock" -u root ping
    started "$s/run/db/mysql.pid" mariadbd
    mariadb -S "$s/run/db/mysql.sock" -u root <<SQL
CREATE DATABASE slurm_acct_db;
CREATE USER slurm@'localhost' IDENTIFIED BY 'slurm';
CREATE USER slurm@'127.0.0.1' IDENTIFIED BY 'slurm';
GRANT ALL ON slurm_acct_db.* TO slurm@'localhost';
GRANT ALL ON slurm_acct_db.* TO slurm@'127.0.0.1';
SQL
    cat >"$s/etc/slurmdbd.conf" <<CONF
AuthType=auth/munge
AuthInfo=socket=$s/run/munge.socket,cred_expire=5
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort=$((port + 1))
SlurmUser=root
LogFile=$s/log/slurmdbd.log
PidFile=$s/run/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=$((port + 2))
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
CONF
    chmod 600 "$s/etc/slurmdbd.conf"
    slurmdbd
    wait_for 20 slurmdbd timeout 3 sacctmgr -n list cluster
    started "$s/run/slurmdbd.pid" slurmdbd
    sacctmgr -i add cluster test >/dev/null
    sacctmgr -i add account lab cluster=test >/dev/null
    sacctmgr -i add user "$(id -un)" account=lab cluster=test >/dev/null
fi

slurmctld -c
wait_for 20 slurmctld sh -c 'scontrol ping | grep -q UP'
started "$s/run/slurmctld.pid" slurmctld
for i in $(seq "$nodes"); do
    mkdir -p "$s/spool-n$i"
    slurmd -N "n$i"
    wait_for 10 "slurmd of n$i" test -s "$s/run/slurmd-n$i.pid"
    started "$s/run/slurmd-n$i.pid" slurmd
done
all_idle() { [ "$(sinfo -h -N -p main -t idle -o %N | wc -l)" = "$nodes" ]; }
wait_for 30 "every node" all_idle
echo "slurm-up: $(sinfo --version), $nodes nodes, in $s" >&2
