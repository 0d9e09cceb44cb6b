// A voice message: its waveform as the server measured it, and a player behind it.

import { useEffect, useRef, useState } from 'react';

import { Icon } from '../../icons';
import type { Voice } from '../../wire/im.gen';

import { length } from './format';
import { useBlob } from './useBlob';

/** Bars that fit a phone. */
const BARS = 48;

/** The loudest point of each bar. */
export function bars(waveform: Uint8Array, count = BARS): number[] {
  const wanted = Math.min(count, waveform.length);
  return Array.from({ length: wanted }, (_, at) => {
    const from = Math.floor((at * waveform.length) / wanted);
    const to = Math.max(from + 1, Math.floor(((at + 1) * waveform.length) / wanted));
    return Math.max(...waveform.subarray(from, to));
  });
}

export function VoiceNote({ conv, voice }: { conv: number; voice: Voice }) {
  const { path, reach, failed } = useBlob(conv, voice.blob);
  const audio = useRef<HTMLAudioElement>(null);
  /** Somebody wants to hear it, which may take another address. */
  const wanted = useRef(false);
  const [playing, setPlaying] = useState(false);
  const [at, setAt] = useState(0);
  const total = voice.durationMs / 1000;

  useEffect(() => {
    if (!playing) return undefined;
    const timer = setInterval(() => setAt(audio.current?.currentTime ?? 0), 60);
    return () => clearInterval(timer);
  }, [playing]);

  useEffect(() => {
    if (!path || !wanted.current) return;
    audio.current?.play().catch(() => {
      wanted.current = false;
      setPlaying(false);
    });
  }, [path]);

  const prepare = () => {
    if (!playing) void reach();
  };
  const toggle = () => {
    const element = audio.current;
    if (!element) return;
    wanted.current = !playing;
    if (playing) element.pause();
    else void element.play().catch(() => setPlaying(false));
  };
  const seek = (to: number) => {
    setAt(to);
    if (audio.current) audio.current.currentTime = to;
  };
  const points = bars(voice.waveform);
  return (
    <div className="voice">
      <button type="button" className="round small" aria-label={playing ? 'Pause' : 'Play voice message'} disabled={!path} onPointerDown={prepare} onFocus={prepare} onClick={toggle}>
        <Icon name={playing ? 'pause' : 'play'} />
      </button>
      <div className="wave">
        <svg viewBox={`0 0 ${points.length * 4} 32`} preserveAspectRatio="none" aria-hidden="true" data-points={points.length}>
          {points.map((point, bar) => {
            const height = Math.max(2, (point / 255) * 30);
            const played = total > 0 && bar / points.length < at / total;
            return <rect key={bar} className={played ? 'played' : ''} x={bar * 4} y={16 - height / 2} width="2.4" height={height} rx="1.2" />;
          })}
        </svg>
        <input type="range" min={0} max={total} step={0.1} value={Math.min(at, total)} aria-label="Position in the voice message" disabled={!path} onChange={(event) => seek(Number(event.target.value))} />
      </div>
      <span className="dim">{length(playing || at > 0 ? at * 1000 : voice.durationMs)}</span>
      {path && (
        <audio
          ref={audio}
          src={path}
          preload="metadata"
          onPlay={() => setPlaying(true)}
          onError={failed}
          onPause={() => {
            wanted.current = false;
            setPlaying(false);
          }}
          onEnded={() => {
            wanted.current = false;
            setPlaying(false);
            setAt(0);
          }}
        />
      )}
    </div>
  );
}
