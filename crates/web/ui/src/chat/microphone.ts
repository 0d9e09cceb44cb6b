// The microphone as MediaRecorder packs it: Opus, which the server measures and makes into Ogg. One recording at a time, and the
// device is given back whenever nobody waits for it any more.

const TYPES = ['audio/webm;codecs=opus', 'audio/ogg;codecs=opus'];
const PIECE_MS = 250;

/** Whether this browser records what the server understands. */
export const canRecord = () =>
  typeof MediaRecorder === 'function' && !!navigator.mediaDevices && TYPES.some((type) => MediaRecorder.isTypeSupported(type));

interface Recording {
  recorder: MediaRecorder;
  pieces: Blob[];
}

export class Microphone {
  /** Counts what was begun and given up: a device that opens for an earlier turn is given back. */
  private turn = 0;
  private current?: Recording;

  /** Answers whether it records; `false`: it was given up meanwhile, or begun anew. */
  async start(): Promise<boolean> {
    this.cancel();
    const { turn } = this;
    const isOver = () => turn !== this.turn;
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      if (isOver()) giveBack(stream);
      else this.current = record(stream);
    } catch (error) {
      if (!isOver()) throw error;
    }
    return !isOver();
  }

  /** Ends it; answers the recording, once. */
  async finish(): Promise<Blob | undefined> {
    const { current } = this;
    this.current = undefined;
    if (!current) return undefined;
    const { recorder, pieces } = current;
    if (recorder.state !== 'inactive') {
      const stopped = new Promise((resolve) => recorder.addEventListener('stop', resolve, { once: true }));
      recorder.stop();
      await stopped;
    }
    giveBack(recorder.stream);
    return new Blob(pieces, { type: recorder.mimeType });
  }

  /** What is there stays, to be sent. */
  pause() {
    if (this.current?.recorder.state === 'recording') this.current.recorder.pause();
  }

  cancel() {
    const { recorder } = this.current ?? {};
    this.current = undefined;
    this.turn += 1;
    if (!recorder) return;
    recorder.ondataavailable = null;
    if (recorder.state !== 'inactive') recorder.stop();
    giveBack(recorder.stream);
  }
}

function record(stream: MediaStream): Recording {
  try {
    const mimeType = TYPES.find((type) => MediaRecorder.isTypeSupported(type));
    const recorder = new MediaRecorder(stream, { mimeType, audioBitsPerSecond: 32_000 });
    // Its own: the last piece of one recording may come when the next has begun.
    const pieces: Blob[] = [];
    recorder.ondataavailable = (event) => pieces.push(event.data);
    recorder.start(PIECE_MS);
    return { recorder, pieces };
  } catch (error) {
    giveBack(stream);
    throw error;
  }
}

function giveBack(stream: MediaStream) {
  stream.getTracks().forEach((track) => track.stop());
}
