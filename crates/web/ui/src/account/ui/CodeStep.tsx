// A code that comes to a phone: asked for, and entered. Another one can be asked for when the server's pause is over.

import { useEffect, useId, useState } from 'react';

import { ApiProblem } from '../api';
import { askForCode, type Purpose } from '../login';

/** The server lets a number ask again after this (`accounts::limits`); it says so itself where it is longer. */
const PAUSE_S = 60;

export interface Codes {
  /** A code is on its way to this number. */
  sentTo: string;
  /** Seconds until another one can be asked for. */
  wait: number;
  /** Rejects with what the server says. */
  ask: () => Promise<void>;
  reset: () => void;
}

/** Codes for a purpose to the number that is typed in. */
export function useCodes(purpose: Purpose, phone: string): Codes {
  const [sentTo, setSentTo] = useState('');
  const [hold, setHold] = useState({ phone: '', untilMs: 0 });
  const [now, setNow] = useState(Date.now);
  // What is refused may be so for whatever number: this device, or its address, has asked too often.
  const held = hold.phone === '' || hold.phone === phone.trim();
  const wait = held ? Math.max(0, Math.ceil((hold.untilMs - now) / 1000)) : 0;
  useEffect(() => {
    if (!wait) return undefined;
    const timer = setTimeout(() => setNow(Date.now()), 1_000);
    return () => clearTimeout(timer);
  }, [wait, now]);
  const pause = (seconds: number, number: string) => {
    const at = Date.now();
    setNow(at);
    setHold({ phone: number, untilMs: at + seconds * 1000 });
  };
  const ask = async () => {
    const number = phone.trim();
    try {
      await askForCode(number, purpose);
      setSentTo(number);
      pause(PAUSE_S, number);
    } catch (error) {
      if (error instanceof ApiProblem && error.retryAfterS) pause(error.retryAfterS, '');
      throw error;
    }
  };
  return { sentTo, wait, ask, reset: () => setSentTo('') };
}

interface Props {
  codes: Codes;
  value: string;
  onChange: (code: string) => void;
  onAgain: () => void;
  /** The server sends no messages. */
  development?: boolean;
  /** Where two are asked for, which one it is. */
  label?: string;
}

export function CodeField({ codes, value, onChange, onAgain, development, label = 'Code from the message' }: Props) {
  const hint = useId();
  return (
    <div className="code-step">
      <label>
        {label}
        <input
          name="code"
          className="code"
          value={value}
          inputMode="numeric"
          autoComplete="one-time-code"
          maxLength={6}
          pattern="[0-9]{6}"
          title="Six digits"
          required
          autoFocus
          aria-describedby={hint}
          onChange={(event) => onChange(event.target.value.replace(/\D/g, ''))}
        />
      </label>
      <p className="hint" id={hint}>
        {development ? 'This server is in development: unless it is set up to send messages, the code is in its log.' : `Sent to ${codes.sentTo}. It is good for five minutes.`}{' '}
        <button type="button" className="link" disabled={codes.wait > 0} onClick={onAgain}>
          {codes.wait ? `Send another one in ${codes.wait} s` : 'Send another one'}
        </button>
      </p>
    </div>
  );
}
