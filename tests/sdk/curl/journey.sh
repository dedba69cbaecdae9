#!/usr/bin/env bash
# Does a shell notice any difference? `journey.sh READY_FILE`, beside a running `tollgate demo`.
#
# One line for each thing that was checked, and at the end how many passed and failed; exits with 1 if one failed.
set -uo pipefail

ready=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
passed=0
failed=0
requests=()

member() { # FILE EXPRESSION: a Python expression over the JSON document `it`
  python3 -c 'import json, sys; it = json.load(open(sys.argv[1], encoding="utf-8")); print(eval(sys.argv[2]))' "$1" "$2"
}

url=$(member "$ready" 'it["public_url"]')
key=$(member "$ready" 'it["api_key"]')
admin=$(member "$ready" 'it["admin_url"]')
token=$(member "$ready" 'it["admin_token"]')
body=$scratch/body
head=$scratch/head

# Asks, as people do: status into $status, the rest into $body and $head.
ask() {
  status=$(curl --silent --show-error --noproxy '*' --max-time 30 --output "$body" --dump-header "$head" \
    --write-out '%{http_code}' "$@")
  requests+=("$(header x-request-id)")
}

header() {
  tr -d '\r' <"$head" | awk -v name="$1:" 'tolower($1) == name { value = $2 } END { print value }'
}

check() { # SENTENCE COMMAND…
  local sentence=$1
  shift
  if "$@"; then
    passed=$((passed + 1))
    echo "ok      curl: $sentence"
  else
    failed=$((failed + 1))
    echo "FAILED  curl: $sentence (status ${status:-}, $(head --bytes 600 "$body"))"
  fi
}

is() { # EXPRESSION: true of the JSON in $body
  [[ $(member "$body" "bool($1)" 2>/dev/null) == True ]]
}

chat='{"model": "sim-fast", "messages": [{"role": "user", "content": "你好，curl"}]}'
streamed=${chat%\}}', "stream": true, "stream_options": {"include_usage": true}}'
before=$(curl --silent --noproxy '*' -H "authorization: Bearer $key" "$url/v1/credits" |
  python3 -c 'import json, sys; print(json.load(sys.stdin)["spent"])')

a_form() {
  ask "$url/v1/chat/completions" -H "Authorization: Bearer $key" -d "$chat"
  [[ $status == 200 && $(header content-type) == application/json* ]] &&
    is '"你好，curl" in it["choices"][0]["message"]["content"]' && [[ $(header x-request-id) == req_* ]]
}
check "JSON is read although -d calls it a form" a_form

a_bearer() {
  ask "$url/v1/chat/completions" -H "authorization: bearer $key" -H 'content-type: application/json' -d "$chat"
  [[ $status == 200 ]]
}
check "bearer may be written small" a_bearer

a_stream() {
  ask --no-buffer "$url/v1/chat/completions" -H "Authorization: Bearer $key" -d "$streamed"
  [[ $status == 200 && $(header content-type) == text/event-stream* && $(header x-accel-buffering) == no ]] &&
    [[ $(grep --count '^data: {' "$body") -gt 5 && $(tail --lines 2 "$body" | head --lines 1) == 'data: [DONE]' ]] &&
    ! grep --quiet --invert-match --extended-regexp '^(data: .*|: .*|)$' "$body"
}
check "a stream is lines of data, and ends with its mark" a_stream

a_long_one() { # more than a MiB: curl asks first whether to go on; and nobody without money may ask so much
  local house
  curl --silent --noproxy '*' -H "authorization: Bearer $token" -d '{"name": "long", "house": true, "livemode": "demo"}' \
    "$admin/admin/v1/accounts" >"$body"
  curl --silent --noproxy '*' -H "authorization: Bearer $token" -d "{\"account\": \"$(member "$body" 'it["id"]')\"}" \
    "$admin/admin/v1/keys" >"$scratch/key"
  house=$(member "$scratch/key" 'it["key"]')
  python3 -c 'import json; print(json.dumps({"model": "sim-fast", "max_tokens": 5, "messages":
    [{"role": "user", "content": "x" * 1_100_000}]}))' >"$scratch/long"
  ask "$url/v1/chat/completions" -H "Authorization: Bearer $house" -H 'expect: 100-continue' -d "@$scratch/long"
  [[ $status == 400 || $status == 200 ]]
}
check "a long body may ask first whether to go on" a_long_one

in_pieces() {
  ask "$url/v1/chat/completions" -H "Authorization: Bearer $key" -H 'transfer-encoding: chunked' -d "$chat"
  [[ $status == 200 ]]
}
check "a body may come in pieces" in_pieces

other_endpoints() {
  ask "$url/v1/responses" -H "Authorization: Bearer $key" -d '{"model": "sim-fast", "input": "hi"}'
  [[ $status == 200 ]] && is 'it["object"] == "response"' || return
  ask "$url/v1/embeddings" -H "Authorization: Bearer $key" -d '{"model": "sim-embed", "input": "hi"}'
  [[ $status == 200 ]] && is 'len(it["data"][0]["embedding"]) == 1536' || return
  ask "$url/v1/completions" -H "Authorization: Bearer $key" -d '{"model": "sim-instruct", "prompt": "hi"}'
  [[ $status == 200 ]] && is 'it["object"] == "text_completion"'
}
check "responses, vectors and old completions answer" other_endpoints

a_message() {
  local question='{"model": "sim-fast", "max_tokens": 99, "messages": [{"role": "user", "content": "hi"}]}'
  ask "$url/v1/messages" -H "x-api-key: $key" -H 'anthropic-version: 2023-06-01' -d "$question"
  [[ $status == 200 ]] && is 'it["type"] == "message"' || return
  ask "$url/v1/messages" -H "x-api-key: $key" -H 'anthropic-version: 2023-06-01' -d "${question%\}}, \"stream\": true}"
  [[ $status == 200 && $(head --lines 1 "$body") == 'event: message_start' ]] && grep --quiet '^event: message_stop$' "$body"
}
check "messages answer, with Anthropic's header for the key" a_message

wrong() { # STATUS CODE PARAM, with the rest for curl
  local wanted=$1 code=$2 param=$3
  shift 3
  ask "$@"
  [[ $status == "$wanted" && $(header content-type) == application/json* && $(header x-request-id) == req_* ]] &&
    is "it['error']['message'] and it['error']['code'] == $code and it['error']['param'] == $param"
}
as="Authorization: Bearer $key"
at=$url/v1/chat/completions
check "no key is told" wrong 401 'it["error"]["code"]' None "$at" -d "$chat"
check "a wrong key is told" wrong 401 '"invalid_api_key"' None "$at" -H 'Authorization: Bearer sk-no' -d "$chat"
check "no JSON is told" wrong 400 'it["error"]["code"]' 'it["error"]["param"]' "$at" -H "$as" -d '{"model": '
check "no model is told" wrong 404 '"model_not_found"' '"model"' "$at" -H "$as" -d "${chat/sim-fast/sim-fsat}"
check "a bad parameter is told" wrong 400 '"invalid_value"' '"n"' "$at" -H "$as" -d "${chat%\}}, \"n\": 0}"
check "no money is told" wrong 402 '"insufficient_quota"' 'it["error"]["param"]' "$at" -H "$as" \
  -d "${chat/sim-fast/sim-luxury}"
check "no such address is told" wrong 404 'it["error"]["code"]' None "$url/v1/nowhere" -H "$as" -d "$chat"

the_books() {
  local sum
  curl --silent --noproxy '*' -H "authorization: Bearer $token" "$admin/admin/v1/ledger/trial-balance" >"$body"
  is 'it["balanced"] and it["open_holds"] == 0' || return
  : >"$scratch/costs"
  for request in "${requests[@]}"; do
    curl --silent --noproxy '*' -H "authorization: Bearer $key" "$url/v1/generation?id=$request" >>"$scratch/costs"
    echo >>"$scratch/costs"
  done
  curl --silent --noproxy '*' -H "authorization: Bearer $key" "$url/v1/credits" >"$body"
  sum=$(python3 -c 'import json, sys
from decimal import Decimal
lines = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8") if line.strip()]
print(sum(Decimal(line["data"]["cost_cny"]) for line in lines if "data" in line))' "$scratch/costs")
  is "__import__('decimal').Decimal(it['spent']) - __import__('decimal').Decimal('$before') == __import__('decimal').Decimal('$sum') > 0"
}
check "the receipts sum to what was spent" the_books

echo "$passed passed, $failed failed ($(curl --version | head --lines 1 | cut --delimiter ' ' --fields 1,2))"
((failed == 0))
