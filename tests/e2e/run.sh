#!/bin/bash
# Runs the tests of this folder. Those that wait more than they work go side by side, in three processes; those that judge
# pictures, sounds or time come behind them, alone. Arguments are pytest's: then it is one process.
set -u
cd "$(dirname "$0")"
pytest=(../.venv/bin/python -m pytest --durations=12)
if (($#)); then
    exec "${pytest[@]}" "$@"
fi

one=(test_chat_blobs.py test_chat_faults.py test_chat_kill.py test_chat_matrix.py test_chat_quic.py test_chat_rules.py)
other=(test_admin.py test_operators.py test_refusals.py test_rest_schema.py test_room_service.py test_sms.py test_webhooks.py)
# Of what is left behind when many have come and gone.
left=(test_churn.py test_soak.py)

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
status=0
"${pytest[@]}" "${one[@]}" >"$logs/one" 2>&1 &
first=$!
"${pytest[@]}" "${left[@]}" >"$logs/left" 2>&1 &
second=$!
"${pytest[@]}" "${other[@]}" || status=1
wait $first || status=1
wait $second || status=1
cat "$logs/one" "$logs/left"
"${pytest[@]}" $(printf -- '--ignore=%s ' "${one[@]}" "${other[@]}" "${left[@]}") || status=1
exit $status
