// mediasoup's worker behind WHIP and WHEP, for the load tool: one worker, one router, one UDP port, VP8.
//   node server.mjs <http port> <address of media>
// Prints `ready <pid of the worker>`. Whoever posts to /whip/... publishes, whoever posts to /whep/... gets what was published
// last. It believes what it is sent: nobody else talks to it.

import { createServer } from "node:http";
import { createWorker } from "mediasoup";

const [httpPort, ip] = [Number(process.argv[2]), process.argv[3]];

// What the load tool offers: no bandwidth feedback, no header extensions.
const rtcpFeedback = [{ type: "nack" }, { type: "nack", parameter: "pli" }, { type: "ccm", parameter: "fir" }];
const vp8 = { kind: "video", mimeType: "video/VP8", clockRate: 90_000, preferredPayloadType: 96, rtcpFeedback };

// A worker of another version never says that it runs.
const patience = setTimeout(() => process.exit(1), 10_000);
const worker = await createWorker({ logLevel: "error" });
clearTimeout(patience);
worker.on("died", () => process.exit(1));
const webRtcServer = await worker.createWebRtcServer({ listenInfos: [{ protocol: "udp", ip }] });
const router = await worker.createRouter({ mediaCodecs: [vp8] });
let producer;

/** The values of an attribute of an SDP, in its order. */
function attributes(sdp, name) {
  return [...sdp.matchAll(new RegExp(`^a=${name}:(.*?)\\r?$`, "gm"))].map(([, value]) => value);
}

/** A transport for the offer's ICE and DTLS: the client is the DTLS client. */
async function connect(offer) {
  const transport = await router.createWebRtcTransport({ webRtcServer });
  const [algorithm, value] = attributes(offer, "fingerprint")[0].split(" ");
  await transport.connect({ dtlsParameters: { role: "client", fingerprints: [{ algorithm, value }] } });
  return transport;
}

/** The answer: one section of video, as the offer has. */
function answer(offer, transport, payloadType, lines) {
  const { iceParameters, iceCandidates, dtlsParameters } = transport;
  const { algorithm, value } = dtlsParameters.fingerprints.find(({ algorithm }) => algorithm === "sha-256");
  const candidates = iceCandidates.map(
    ({ foundation, protocol, priority, address, port, type }) =>
      `a=candidate:${foundation} 1 ${protocol} ${priority} ${address} ${port} typ ${type}`,
  );
  const [mid] = attributes(offer, "mid");
  return [
    "v=0",
    "o=- 1 1 IN IP4 0.0.0.0",
    "s=-",
    "t=0 0",
    `a=group:BUNDLE ${mid}`,
    "a=ice-lite",
    `m=video 7 UDP/TLS/RTP/SAVPF ${payloadType}`,
    "c=IN IP4 0.0.0.0",
    `a=mid:${mid}`,
    "a=rtcp-mux",
    `a=rtpmap:${payloadType} VP8/90000`,
    ...rtcpFeedback.map(({ type, parameter = "" }) => `a=rtcp-fb:${payloadType} ${`${type} ${parameter}`.trim()}`),
    `a=ice-ufrag:${iceParameters.usernameFragment}`,
    `a=ice-pwd:${iceParameters.password}`,
    `a=fingerprint:${algorithm} ${value}`,
    "a=setup:passive",
    ...candidates,
    "a=end-of-candidates",
    ...lines,
    "",
  ].join("\r\n");
}

async function publish(offer) {
  const transport = await connect(offer);
  const payloadType = Number(/^a=rtpmap:(\d+) VP8/m.exec(offer)[1]);
  const ssrc = Number(attributes(offer, "ssrc")[0].split(" ")[0]);
  producer = await transport.produce({
    kind: "video",
    rtpParameters: {
      codecs: [{ mimeType: "video/VP8", clockRate: 90_000, payloadType, rtcpFeedback }],
      encodings: [{ ssrc }],
    },
  });
  return answer(offer, transport, payloadType, ["a=recvonly"]);
}

async function subscribe(offer) {
  const transport = await connect(offer);
  const rtpCapabilities = { codecs: [vp8], headerExtensions: [] };
  const { rtpParameters } = await transport.consume({ producerId: producer.id, rtpCapabilities });
  const [{ ssrc }] = rtpParameters.encodings;
  const lines = ["a=sendonly", "a=msid:s t", `a=ssrc:${ssrc} cname:${rtpParameters.rtcp.cname}`];
  return answer(offer, transport, rtpParameters.codecs[0].payloadType, lines);
}

const negotiate = { whip: publish, whep: subscribe };
const server = createServer(async (request, response) => {
  try {
    const offer = (await request.toArray()).join("");
    const sdp = await negotiate[request.url.split("/")[1]](offer);
    response.writeHead(201, { "Content-Type": "application/sdp" }).end(sdp);
  } catch (error) {
    response.writeHead(500).end(`${error}`);
  }
});
server.listen(httpPort, "127.0.0.1", () => console.log(`ready ${worker.pid}`));
