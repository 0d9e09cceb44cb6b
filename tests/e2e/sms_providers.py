"""The providers of text messages, as their documentation describes them: each verifies what it is sent and answers as the
real one would. Written from the documents, not from our code."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from dataclasses import dataclass, field
from urllib.parse import quote

from aiohttp import web

WEBHOOK_SECRET = "whsec_" + base64.b64encode(b"a secret of 24 bytes or so").decode()
ALIYUN = ("LTAIexample", "aliyun-secret")
TENCENT = ("AKIDexample", "tencent-secret")


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def check_aliyun(request: web.Request, body: bytes) -> str | None:
    """ACS3-HMAC-SHA256. Answers the number, or None."""
    algorithm, rest = request.headers["authorization"].split(" ", 1)
    parts = dict(part.split("=", 1) for part in rest.split(","))
    signed = parts["SignedHeaders"].split(";")
    query = "&".join(f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in sorted(request.query.items()))
    headers = "".join(f"{name}:{request.headers[name].strip()}\n" for name in signed)
    hashed = hashlib.sha256(body).hexdigest()
    canonical = f"POST\n/\n{query}\n{headers}\n{';'.join(signed)}\n{hashed}"
    want = _hmac(ALIYUN[1].encode(), f"{algorithm}\n{hashlib.sha256(canonical.encode()).hexdigest()}").hex()
    fresh = abs(time.time() - time.mktime(time.strptime(request.headers["x-acs-date"], "%Y-%m-%dT%H:%M:%SZ")) + time.timezone) < 900
    good = (
        algorithm == "ACS3-HMAC-SHA256"
        and parts["Credential"] == ALIYUN[0]
        and hmac.compare_digest(parts["Signature"], want)
        and request.headers["x-acs-content-sha256"] == hashed
        and request.headers["x-acs-action"] == "SendSms"
        and {"host", "x-acs-action", "x-acs-content-sha256", "x-acs-date", "x-acs-version"} <= set(signed)
        and fresh
    )
    return "+86" + request.query["PhoneNumbers"] if good else None


def check_tencent(request: web.Request, body: bytes) -> str | None:
    """TC3-HMAC-SHA256."""
    algorithm, rest = request.headers["authorization"].split(" ", 1)
    parts = dict(part.strip().split("=", 1) for part in rest.split(","))
    signed = parts["SignedHeaders"].split(";")
    stamp = request.headers["x-tc-timestamp"]
    day = time.strftime("%Y-%m-%d", time.gmtime(int(stamp)))
    headers = "".join(f"{name}:{request.headers[name].strip().lower()}\n" for name in signed)
    canonical = f"POST\n/\n\n{headers}\n{';'.join(signed)}\n{hashlib.sha256(body).hexdigest()}"
    scope = f"{day}/sms/tc3_request"
    to_sign = f"TC3-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = _hmac(_hmac(_hmac(("TC3" + TENCENT[1]).encode(), day), "sms"), "tc3_request")
    good = (
        algorithm == "TC3-HMAC-SHA256"
        and parts["Credential"] == f"{TENCENT[0]}/{scope}"
        and hmac.compare_digest(parts["Signature"], _hmac(key, to_sign).hex())
        and {"content-type", "host"} <= set(signed)
        and request.headers["x-tc-action"] == "SendSms"
        and abs(time.time() - int(stamp)) < 300
    )
    return json.loads(body)["PhoneNumberSet"][0] if good else None


def check_webhook(request: web.Request, body: bytes) -> str | None:
    """standardwebhooks.com."""
    identity, stamp = request.headers["webhook-id"], request.headers["webhook-timestamp"]
    key = base64.b64decode(WEBHOOK_SECRET.removeprefix("whsec_"))
    want = "v1," + base64.b64encode(hmac.new(key, f"{identity}.{stamp}.".encode() + body, hashlib.sha256).digest()).decode()
    good = hmac.compare_digest(want, request.headers["webhook-signature"]) and abs(time.time() - int(stamp)) < 300
    return json.loads(body)["phone"] if good else None


@dataclass
class Providers:
    """All three on one port, told apart by their host names' port paths: each has a server of its own."""

    # (provider, number, code) of what was signed well, in order.
    taken: list[tuple[str, str, str]] = field(default_factory=list)
    # Names of providers whose signature was wrong.
    forged: list[str] = field(default_factory=list)
    # Providers that answer with an outage.
    down: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    ports: dict[str, int] = field(default_factory=dict)
    runners: list[web.AppRunner] = field(default_factory=list)

    async def start(self) -> Providers:
        for name in ("aliyun", "tencent", "webhook"):
            app = web.Application()
            app.router.add_post("/{tail:.*}", self._handler(name))
            runner = web.AppRunner(app)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.ports[name] = site._server.sockets[0].getsockname()[1]
            self.runners.append(runner)
        return self

    async def stop(self) -> None:
        for runner in self.runners:
            await runner.cleanup()

    def environment(self, order: str) -> dict[str, str]:
        """Variables that lead a server here."""
        return {
            "CONVENE_SMS_ORDER": order,
            "CONVENE_SMS_WEBHOOK_URL": f"http://127.0.0.1:{self.ports['webhook']}/send",
            "CONVENE_SMS_WEBHOOK_SECRET": WEBHOOK_SECRET,
            "CONVENE_SMS_ALIYUN_ENDPOINT": f"http://127.0.0.1:{self.ports['aliyun']}",
            "CONVENE_SMS_ALIYUN_KEY_ID": ALIYUN[0],
            "CONVENE_SMS_ALIYUN_KEY_SECRET": ALIYUN[1],
            "CONVENE_SMS_ALIYUN_SIGN_NAME": "\u77ed\u4fe1 & co",
            "CONVENE_SMS_ALIYUN_TEMPLATE": "SMS_1",
            "CONVENE_SMS_TENCENT_ENDPOINT": f"http://127.0.0.1:{self.ports['tencent']}",
            "CONVENE_SMS_TENCENT_SECRET_ID": TENCENT[0],
            "CONVENE_SMS_TENCENT_SECRET_KEY": TENCENT[1],
            "CONVENE_SMS_TENCENT_APP_ID": "1400000000",
            "CONVENE_SMS_TENCENT_SIGN_NAME": "\u77ed\u4fe1",
            "CONVENE_SMS_TENCENT_TEMPLATE": "7",
        }

    def _handler(self, name: str):
        check = {"aliyun": check_aliyun, "tencent": check_tencent, "webhook": check_webhook}[name]

        async def handle(request: web.Request) -> web.Response:
            body = await request.read()
            self.asked.append(name)
            if name in self.down:
                return web.Response(status=503, text="down")
            number = check(request, body)
            if number is None:
                self.forged.append(name)
                return web.Response(status=403, text="bad signature")
            code = {
                "aliyun": lambda: json.loads(request.query["TemplateParam"])["code"],
                "tencent": lambda: json.loads(body)["TemplateParamSet"][0],
                "webhook": lambda: json.loads(body)["code"],
            }[name]()
            self.taken.append((name, number, code))
            return {
                "aliyun": lambda: web.json_response({"Code": "OK", "BizId": "9^0", "Message": "OK"}),
                "tencent": lambda: web.json_response({"Response": {"SendStatusSet": [{"Code": "Ok", "SerialNo": "5:1"}], "RequestId": "r"}}),
                "webhook": lambda: web.Response(status=204),
            }[name]()

        return handle
