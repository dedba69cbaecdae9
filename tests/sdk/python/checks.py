"""What do all Python journeys share? The far end they talk to, how a check is written down, and the books at the end.

A journey is `journey_X.py READY_FILE`, beside a running `tollgate demo`. It prints a line for each check, and at the end
how many passed and failed; it exits with 1 if one failed. READY_FILE is what the demo wrote. One that has no `admin_url`
names a simulated provider instead (`public_url`, `api_key`, `sim_url`, perhaps `models`): then the checks that are
about the gateway itself are left out, and what is left says whether the simulator is faithful.
"""

import functools
import json
import sys
import time
import traceback
import urllib.error
import urllib.request
from decimal import Decimal

with open(sys.argv[1], encoding="utf-8") as file:
    READY = json.load(file)
GATEWAY = "admin_url" in READY
# A simulator that runs alone has neither this nor a key.
BASE = READY.get("public_url", "") + "/v1"
# Enough for a journey, in which an open call holds what it might cost at most; too little for `sim-luxury`.
TOP_UP = "1.50"
CHECKS = []
REQUESTS = []


def check(function):
    """Marks a function as one thing to be checked."""
    CHECKS.append(function)
    return function


def check_each(models):
    """The same, of each of several models; what goes wrong with one does not keep the others from being asked."""

    def mark(function):
        @functools.wraps(function)
        def of_each():
            wrong = []
            for model in models:
                try:
                    function(model)
                except Exception as error:
                    traceback.print_exc(file=sys.stdout)
                    wrong.append(f"{model}: {type(error).__name__}: {error}")
            assert not wrong, "\n".join(wrong)

        return check(of_each)

    return mark


def check_of_the_gateway(function):
    """The same, of something that only the gateway does."""
    return check(function) if GATEWAY else function


class Sent:
    """Counts what an SDK really sends, and notes under which id each request was answered."""

    def __init__(self):
        self.requests = 0

    def hooks(self):
        return {"request": [self.request], "response": [noted]}

    def async_hooks(self):
        async def request(sent):
            self.request(sent)

        async def response(answer):
            noted(answer)

        return {"request": [request], "response": [response]}

    def request(self, _request):
        self.requests += 1


def noted(response):
    """Remembers a request for the books."""
    REQUESTS.append(response.headers.get("x-request-id"))


def call(url, body=None, token=None, method=None):
    """Works a control, or asks a question, that no SDK knows."""
    headers = {"content-type": "application/json"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as answer:
        return json.load(answer)


def fault(model, fault, **more):
    """Lets something go wrong the next time this model is asked."""
    call(READY["sim_url"] + "/_sim/v1/faults", {"scope": "*", "model": model, "fault": fault, **more})


def clear_faults():
    call(READY["sim_url"] + "/_sim/v1/faults", method="DELETE")


def admin(path, body=None):
    return call(READY["admin_url"] + "/admin/v1" + path, body, READY["admin_token"])


def new_key(name, **limits):
    """A key of this journey's account with limits of its own."""
    return admin("/keys", {"account": ACCOUNT, "name": name, **limits})["key"]


def raised(kind, function):
    """The error of this class, and no other, that a call raises."""
    try:
        function()
    except kind as error:
        assert type(error) is kind, f"{type(error)} instead of {kind}"
        return error
    raise AssertionError(f"no {kind.__name__} was raised")


def until(what, there, patience_s=20.0):
    """Asks again until it is so, within bounds."""
    end = time.monotonic() + patience_s
    while not (found := there()):
        assert time.monotonic() < end, f"{what} does not come true"
        time.sleep(0.02)
    return found


def top_up(amount):
    order = call(BASE + "/topups", {"amount": amount}, KEY)
    call(f"{READY['sim_url']}/_sim/v1/orders/{order['out_trade_no']}/pay", {})
    until("the top-up is credited", lambda: call(f"{BASE}/topups/{order['id']}", token=KEY)["status"] == "paid")


def receipt(request):
    """The receipt of one call; nothing for one that was refused before it could cost anything."""
    try:
        return call(f"{BASE}/generation?id={request}", token=KEY)["data"]
    except urllib.error.HTTPError as error:
        assert error.code in (400, 404), f"{request}: {error}"
        return None


def the_receipts_sum_to_what_was_spent():
    until("every hold is settled", lambda: admin("/ledger/trial-balance")["open_holds"] == 0)
    books = admin("/ledger/trial-balance")
    assert books["balanced"], books["findings"]
    ids = {request for request in REQUESTS if request}
    costs = [Decimal(found["cost_cny"]) for found in map(receipt, ids) if found]
    spent = Decimal(call(BASE + "/credits", token=KEY)["spent"])
    assert sum(costs) == spent > 0, f"receipts {sum(costs)}, ledger {spent}"


ACCOUNT = admin("/accounts", {"name": sys.argv[0], "livemode": "demo"})["id"] if GATEWAY else None
KEY = new_key("journey") if GATEWAY else READY.get("api_key")


def run(name, versions):
    """Runs all checks, the books last."""
    # Tokens as fast as they can be sent: what is slow here is only `sim-slow`.
    call(READY["sim_url"] + "/_sim/v1/settings", {"first_token_ms": 0, "gap_ms": 0})
    checks = list(CHECKS)
    if GATEWAY:
        top_up(TOP_UP)
        checks.append(the_receipts_sum_to_what_was_spent)
    failed = 0
    for function in checks:
        sentence = function.__name__.replace("_", " ")
        try:
            function()
            print(f"ok      {name}: {sentence}", flush=True)
        except Exception:
            failed += 1
            print(f"FAILED  {name}: {sentence}")
            traceback.print_exc(file=sys.stdout)
    print(f"{len(checks) - failed} passed, {failed} failed ({versions})", flush=True)
    sys.exit(1 if failed else 0)
