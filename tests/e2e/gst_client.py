"""GStreamer's `webrtcbin` as a WHIP publisher or a WHEP player; a program of its own, see `gst.py`, which starts it.

It runs under Debian's Python, for which the bindings of GStreamer are built. One JSON line on stdout says each thing that
changes: `{"state": "connected"}`, `{"video": 60, "audio": 200}` (buffers that came out of the decoders). It ends with stdin,
after a DELETE of its session.

    gst_client.py publish|play URL TOKEN VP8|H264
"""

import json
import sys
import threading
import urllib.parse
import urllib.request

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
ENCODERS = {
    "VP8": "vp8enc deadline=1 cpu-used=8 target-bitrate=300000 keyframe-max-dist=300 ! rtpvp8pay picture-id-mode=15-bit pt=96",
    "H264": "openh264enc bitrate=300000 gop-size=300 ! h264parse"
            " ! rtph264pay config-interval=-1 aggregate-mode=zero-latency pt=96",
}
DECODERS = {
    "VP8": "rtpvp8depay ! vp8dec",
    "H264": "rtph264depay ! h264parse ! openh264dec",
    "OPUS": "rtpopusdepay ! opusdec",
}
# What to play of H264 is said in the offer; what is published the payloader knows.
H264_PLAYED = ",packetization-mode=(string)1,profile-level-id=(string)42e01f"
SPEAKING = threading.Lock()
CAPS = "application/x-rtp,media={media},encoding-name={codec},payload={pt},clock-rate={rate}"


def say(**what) -> None:
    """Each medium is decoded on a thread of its own: without the lock two lines become one."""
    with SPEAKING:
        print(json.dumps(what), flush=True)


def caps(media: str, codec: str) -> str:
    pt, rate = (96, 90_000) if media == "video" else (97, 48_000)
    form = CAPS.format(media=media, codec=codec, pt=pt, rate=rate)
    return form + (",encoding-params=(string)2" if codec == "OPUS" else "")


class Client:
    def __init__(self, role: str, url: str, token: str, codec: str):
        self.url, self.token, self.codec, self.session = url, token, codec, None
        self.counts = {"video": 0, "audio": 0}
        self.loop = GLib.MainLoop()
        self.pipe = self.publisher() if role == "publish" else Gst.Pipeline()
        self.rtc = self.pipe.get_by_name("rtc") or Gst.ElementFactory.make("webrtcbin", "rtc")
        if role == "play":
            self.player()
        bus = self.pipe.get_bus()
        bus.add_signal_watch()
        bus.connect("message::error", self.on_error)
        self.rtc.connect("notify::connection-state", self.on_state)
        self.rtc.connect("notify::ice-gathering-state", self.on_gathering)
        self.rtc.connect("on-negotiation-needed", self.on_negotiation_needed)

    def publisher(self):
        return Gst.parse_launch(
            "webrtcbin name=rtc bundle-policy=max-bundle "
            "videotestsrc is-live=true pattern=smpte ! video/x-raw,format=I420,width=320,height=180,framerate=15/1 ! queue"
            f" ! {ENCODERS[self.codec]} ! {caps('video', self.codec)} ! rtc. "
            "audiotestsrc is-live=true wave=sine ! audioconvert ! audioresample ! queue ! opusenc ! rtpopuspay pt=97"
            f" ! {caps('audio', 'OPUS')} ! rtc."
        )

    def player(self):
        self.rtc.set_property("bundle-policy", "max-bundle")
        self.pipe.add(self.rtc)
        for media, codec in (("audio", "OPUS"), ("video", self.codec)):
            receive = GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY
            form = caps(media, codec) + (H264_PLAYED if codec == "H264" else "")
            self.rtc.emit("add-transceiver", receive, Gst.Caps.from_string(form))
        self.rtc.connect("pad-added", self.on_pad)

    def on_negotiation_needed(self, _rtc):
        self.rtc.emit("create-offer", None, Gst.Promise.new_with_change_func(self.on_offer))

    def on_offer(self, promise):
        reply = promise.get_reply()  # owns the offer
        self.rtc.emit("set-local-description", reply.get_value("offer"), Gst.Promise.new())

    def on_gathering(self, rtc, _spec):
        """No trickling: the offer goes out once, with all candidates in it."""
        if rtc.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            threading.Thread(target=self.post, args=(rtc.get_property("local-description").sdp.as_text(),)).start()

    def post(self, offer: str):
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/sdp"}
        try:
            with DIRECT.open(urllib.request.Request(self.url, offer.encode(), headers), timeout=10) as reply:
                self.session, answer = urllib.parse.urljoin(self.url, reply.headers["Location"]), reply.read().decode()
        except OSError as error:
            say(error=f"{error}: {getattr(error, 'fp', None) and error.read().decode()}\n{offer}")
            return
        _, sdp = GstSdp.SDPMessage.new_from_text(answer)
        description = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, sdp)
        self.rtc.emit("set-remote-description", description, Gst.Promise.new())

    def on_state(self, rtc, _spec):
        say(state=rtc.get_property("connection-state").value_nick)

    def on_error(self, _bus, message):
        error, detail = message.parse_error()
        say(error=f"{error.message}: {detail}")

    def on_pad(self, _rtc, pad):
        """A track begins: decode it, and count what comes out."""
        if pad.direction != Gst.PadDirection.SRC:
            return
        form = pad.get_current_caps().get_structure(0)
        media, codec = form.get_string("media"), form.get_string("encoding-name")
        part = Gst.parse_bin_from_description(f"queue ! {DECODERS[codec]} ! fakesink name=end sync=false signal-handoffs=true", True)
        part.get_by_name("end").connect("handoff", self.on_decoded, media)
        self.pipe.add(part)
        part.sync_state_with_parent()
        pad.link(part.get_static_pad("sink"))

    def on_decoded(self, _sink, _buffer, _pad, media):
        self.counts[media] += 1
        if self.counts[media] % 10 == 0:
            say(**self.counts)

    def run(self):
        self.pipe.set_state(Gst.State.PLAYING)
        threading.Thread(target=self.until_told, daemon=True).start()
        self.loop.run()
        self.pipe.set_state(Gst.State.NULL)

    def until_told(self):
        sys.stdin.read()
        if self.session:
            gone = urllib.request.Request(self.session, headers={"Authorization": f"Bearer {self.token}"}, method="DELETE")
            say(ended=DIRECT.open(gone, timeout=10).status)
        self.loop.quit()


if __name__ == "__main__":
    Gst.init(None)
    Client(*sys.argv[1:]).run()
