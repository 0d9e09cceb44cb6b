#!/bin/bash
# Runs the tests of this folder. Those that wait more than they work go side by side, and so do browsers and clients that are
# judged by what they show; those that judge pictures, sounds or time come behind them, alone. Arguments are pytest's: then it
# is one process. CONVENE_TEST_BESIDE is a command that gets what the first ones leave of the machine, and yields to them.
set -u
cd "$(dirname "$0")"
pytest=(../.venv/bin/python -m pytest --durations=12)
if (($#)); then
    exec "${pytest[@]}" "$@"
fi

# Lanes of the first group, and of the second one. `left`: what is left behind when many have come and gone.
declare -A lanes=(
    [chat]="test_chat_blobs.py test_chat_browser.py test_chat_faults.py test_chat_kill.py test_chat_matrix.py test_chat_network.py test_chat_quic.py test_chat_rules.py test_door.py"
    [rest]="test_admin.py test_https.py test_operators.py test_packed.py test_refusals.py test_rest_schema.py test_room_service.py test_sms.py test_web_notices.py test_webhooks.py"
    [left]="test_churn.py test_soak.py"
    [calls]="test_backup_codec.py test_data_tracks.py test_encryption.py test_reach.py"
    [web]="test_restart.py test_web_accounts.py test_web_chat.py test_web_client.py test_web_copy.py test_web_files.py test_web_refused.py test_web_tabs.py test_web_writing.py"
    [sdks]="test_chat_terminal.py test_embedding.py test_gstreamer.py test_livekit_sdk.py test_modified_client.py test_whip_whep.py"
)

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
status=0

# The lanes that are named, side by side; what each printed, one after the other.
beside() {
    local lane job jobs=()
    for lane; do
        # shellcheck disable=SC2086 # a list of files
        "${pytest[@]}" ${lanes[$lane]} >"$logs/$lane" 2>&1 &
        jobs+=($!)
    done
    for job in "${jobs[@]}"; do
        wait "$job" || status=1
    done
    for lane; do
        cat "$logs/$lane"
    done
}

chrt --idle 0 nice -n 19 bash -c "${CONVENE_TEST_BESIDE:-true}" >"$logs/beside" 2>&1 &
other=$!
beside chat rest left calls
beside web sdks
wait "$other" || status=1
cat "$logs/beside"
# shellcheck disable=SC2046,SC2086 # lists of files
"${pytest[@]}" $(printf -- '--ignore=%s ' ${lanes[*]}) || status=1
exit $status
