// What a call sounds like before anybody talks. Silent where the browser allows no sound yet.

interface Tone {
  hertz: number;
  afterS: number;
  lastsS: number;
  loud: number;
}

/** Somebody calls: two short tones, loud enough to be heard from another window. */
export const ring = () =>
  repeat(2_000, [
    { hertz: 660, afterS: 0, lastsS: 0.4, loud: 0.12 },
    { hertz: 880, afterS: 0.25, lastsS: 0.4, loud: 0.12 },
  ]);

/** One calls: what telephones play (ITU-T E.180: a second of 425 Hz, four of silence). */
export const ringBack = () => repeat(5_000, [{ hertz: 425, afterS: 0, lastsS: 1, loud: 0.04 }]);

const FADE_S = 0.03;

/** Plays until the answer is called. */
function repeat(everyMs: number, tones: Tone[]): () => void {
  const context = new AudioContext();
  const play = ({ hertz, afterS, lastsS, loud }: Tone) => {
    const [oscillator, gain] = [context.createOscillator(), context.createGain()];
    const from = context.currentTime + afterS;
    oscillator.frequency.value = hertz;
    gain.gain.setValueAtTime(0, from);
    gain.gain.linearRampToValueAtTime(loud, from + FADE_S);
    gain.gain.setValueAtTime(loud, from + lastsS - FADE_S);
    gain.gain.linearRampToValueAtTime(0, from + lastsS);
    oscillator.connect(gain).connect(context.destination);
    oscillator.start(from);
    oscillator.stop(from + lastsS);
  };
  const all = () => tones.forEach(play);
  all();
  const timer = setInterval(all, everyMs);
  return () => {
    clearInterval(timer);
    void context.close();
  };
}
