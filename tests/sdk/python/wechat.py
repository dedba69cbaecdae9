"""What do the journeys of WeChat Pay's clients share? A merchant of theirs, an address that is told, the clock, bills.

A client that other people wrote, and that real merchants use, asks the simulated WeChat Pay: what it cannot do, the
simulator does wrong. Where the simulator speaks TLS (`tls_url` in the ready file), everything is asked over it.
"""

import json
import os
import threading
import urllib.error
import urllib.request
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import checks
from checks import READY, call, until

SIM = READY["sim_url"] + "/_sim/v1"
HOST = READY.get("tls_url", READY["sim_url"])
BEIJING = timezone(timedelta(hours=8))
OPENID = "o" + "Payer_of-a_Journey".ljust(27, "x")

if "tls_url" in READY:
    # The clients know no other way to trust an authority.
    os.environ["REQUESTS_CA_BUNDLE"] = READY["ca"]


def merchant():
    """A merchant who is new to WeChat Pay, with everything that both sides know."""
    return SimpleNamespace(**call(SIM + "/wechat/merchants", {}))


def of_the_gateway():
    """The merchant whose orders the gateway makes: the demo's simulator has written it down beside the settings."""
    path = os.path.join(os.path.dirname(READY["config"]), "far-side", "wechat.json")
    with open(path, encoding="utf-8") as file:
        return SimpleNamespace(**json.load(file))


def numbers(kind):
    """Numbers of orders or refunds that nobody else uses."""
    count = 0
    while True:
        count += 1
        yield f"{kind}-{os.getpid()}-{count:04}"


def now():
    """What time it is at WeChat Pay, seconds."""
    return call(SIM + "/clock")["now_micros"] / 1_000_000


def advance(seconds):
    call(SIM + "/clock", {"advance_ms": int(seconds * 1000)})


def beijing():
    return datetime.fromtimestamp(now(), BEIJING)


def at_ten_the_next_morning():
    """Moves the clock to when bills can be had; the day that they are of."""
    today = beijing()
    ten = (today + timedelta(days=1)).replace(hour=10, minute=0, second=5, microsecond=0)
    advance((ten - today).total_seconds())
    return today


def fault(fault, **more):
    call(SIM + "/faults", {"scope": "wechat", "fault": fault, **more})


def order(number):
    """How an order stands in the books of WeChat Pay."""
    return call(f"{SIM}/orders/{number}")


def is_paid(number):
    """Somebody pays, and the news of it has gone out: nothing of it comes between what is looked at later."""
    transaction = call(f"{SIM}/orders/{number}/pay", {})["transaction_id"]
    delivered(number, 1)
    return transaction


def is_called_up(page):
    """A page inside WeChat calls up the cashier, and its payer pays; which order that was."""
    number = call(SIM + "/wechat/callup", page)["out_trade_no"]
    delivered(number, 1)
    return number


def delivered(number, count):
    """The deliveries of an order's news, once there are so many."""

    def told():
        deliveries = order(number)["deliveries"]
        return deliveries if len(deliveries) >= count else None

    return until(f"{number} is told {count} times", told)


def from_midnight_on():
    """A day that ended in the middle of a journey would split its bill."""
    today = beijing()
    midnight = (today + timedelta(days=1)).replace(hour=0, minute=0, second=1, microsecond=0)
    left = (midnight - today).total_seconds()
    if left < 900:
        advance(left)


from_midnight_on()


class Told:
    """An address of the merchant: `judge(headers, body)` says whether a notification is genuine, and what to answer."""

    def __init__(self, judge):
        self.heard = []
        told = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                notice, status, reply = judge(self.headers, body)
                told.heard.append(notice)
                self.send_response(status)
                self.send_header("content-length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{server.server_port}/told"


def fen(yuan):
    return int(Decimal(yuan) * 100)


def bill(file):
    """The rows and the totals of a bill, each a mapping from the names of its columns."""
    text = file.decode("utf-8-sig")
    assert text.endswith("\r\n"), text[-80:]
    lines = text.split("\r\n")[:-1]
    head, *rows, total_head, totals = lines

    def named(names, line):
        assert line.startswith("`"), line
        values = line[1:].split(",`")
        names = names.split(",")
        assert len(values) == len(names), line
        return dict(zip(names, values))

    return [named(head, row) for row in rows], named(total_head, totals)


def the_bill_says(file, count, paid, back):
    """A bill of either kind is as it adds itself up, and as what was paid and paid back, fen."""
    rows, totals = bill(file)
    if "总交易单数" in totals:
        columns = [(paid, "订单金额", "订单总金额"), (back, "申请退款金额", "申请退款总金额")]
        for wanted, name, total in columns:
            assert wanted == sum(fen(row[name]) for row in rows) == fen(totals[total]), (wanted, totals)
        assert count == len(rows) == Decimal(totals["总交易单数"]), (count, totals)
        return
    sums = {}
    for row in rows:
        for name in [row["收支类型"], row["业务类型"]]:
            sums[name] = sums.get(name, 0) + fen(row["收支金额(元)"])
    assert (sums["交易"], sums.get("退款", 0)) == (paid, back), (sums, paid, back)
    for side in ["收入", "支出"]:
        assert sums[side] == fen(totals[side + "金额"]), (sums, totals)
    assert len(rows) == Decimal(totals["资金流水总笔数"]), totals


def posted(url, body, headers):
    """Tells the gateway something; its status and what it says."""
    request = urllib.request.Request(url, body, headers)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


TOPPED_UP = [fen(checks.TOP_UP)]


def topped_up(amount, credited=True):
    """An order of the gateway's, of whose payment nobody but this journey tells it."""
    fault("drop_notification", all=True, notice="payment", mchid=of_the_gateway().mchid)
    made = call(checks.BASE + "/topups", {"amount": f"{Decimal(amount) / 100:.2f}"}, checks.KEY)
    if credited:
        TOPPED_UP.append(amount)
    return {**made, "fen": amount, "url": order(made["out_trade_no"])["notify_url"]}


def topup(made):
    return call(f"{checks.BASE}/topups/{made['id']}", token=checks.KEY)


REFUNDED = []


def refunded(paid, amount):
    """A refund of an order that the gateway has asked for, and of whose end nobody but this journey tells it."""
    ours = {"notice": "refund", "mchid": of_the_gateway().mchid}
    fault("refund_result", status="PROCESSING", mchid=ours["mchid"])
    wanted = {"order": paid["id"], "amount": f"{Decimal(amount) / 100:.2f}"}
    made = call(checks.BASE + "/refunds", wanted, checks.KEY)
    [item] = made["items"]
    until("WeChat Pay has the refund", lambda: refund(made) == "processing")
    fault("drop_notification", all=True, **ours)
    REFUNDED.append(amount)
    known = order(paid["out_trade_no"])
    [asked] = known["refunds"]
    return {**known, **asked, "id": made["id"], "url": asked["notify_url"]}


def refund(made):
    """How a refund stands at the gateway."""
    return call(f"{checks.BASE}/refunds/{made['id']}", token=checks.KEY)["status"]


def ends(made):
    call(f"{SIM}/refunds/{made['out_refund_no']}/resolve", {"status": "SUCCESS"})


def what_was_paid_is_what_was_credited():
    # The books at the end want something that was spent.
    request = urllib.request.Request(
        checks.BASE + "/chat/completions",
        json.dumps({"model": "sim-fast", "messages": [{"role": "user", "content": "hello"}]}).encode(),
        {"authorization": f"Bearer {checks.KEY}", "content-type": "application/json"},
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
        checks.REQUESTS.append(answer.headers["x-request-id"])
    credits = call(checks.BASE + "/credits", token=checks.KEY)
    stands = Decimal(credits["balance"]) + Decimal(credits["spent"])
    assert stands == Decimal(sum(TOPPED_UP) - sum(REFUNDED)) / 100, (credits, TOPPED_UP, REFUNDED)
    assert fen(credits["refunded"]) == sum(REFUNDED) and fen(credits["refunding"]) == 0, credits
