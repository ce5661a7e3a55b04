#!/bin/sh
# Makes the secrets of docker-compose.yml, one file each; what is there already stays as it is.
# usage: make-secrets.sh [FOLDER]     FOLDER is ./secrets where not given; compose finds another by HOLDFAST_SECRETS.
# The folder is for its owner alone. The files in it can be read by all, for the containers mount them one by one,
# and the accounts in there are others than yours.
set -eu
cd "$(dirname "$0")/.."
folder=${1:-./secrets}
umask 077
mkdir -p "$folder"
chmod 700 "$folder"

word() { od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }
keep() {
    [ -s "$folder/$1" ] || { printf '%s' "$2" >"$folder/$1.new"; mv "$folder/$1.new" "$folder/$1"; }
    chmod 444 "$folder/$1"
}

keep secret_key "$(word 48)"
keep metrics_token "$(word 24)"
keep postgres_password "$(word 24)"
keep redis_password "$(word 24)"
keep database_url "postgresql://holdfast:$(cat "$folder/postgres_password")@postgres:5432/holdfast"
keep redis_url "redis://:$(cat "$folder/redis_password")@redis:6379/0"
echo "The secrets are in $folder."
