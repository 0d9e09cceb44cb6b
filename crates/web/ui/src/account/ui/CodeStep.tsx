// A code that comes to a phone: asked for, and entered. Another one can be asked for when the server's pause is over.

import { useEffect, useState } from 'react';

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
  ask: (phone: string) => Promise<void>;
  reset: () => void;
}

export function useCodes(purpose: Purpose): Codes {
  const [sentTo, setSentTo] = useState('');
  const [until, setUntil] = useState(0);
  const [now, setNow] = useState(Date.now);
  const wait = Math.max(0, Math.ceil((until - now) / 1000));
  useEffect(() => {
    if (!wait) return undefined;
    const timer = setTimeout(() => setNow(Date.now()), 1_000);
    return () => clearTimeout(timer);
  }, [wait, now]);
  const hold = (seconds: number) => {
    setNow(Date.now());
    setUntil(Date.now() + seconds * 1000);
  };
  const ask = async (phone: string) => {
    try {
      await askForCode(phone, purpose);
      setSentTo(phone);
      hold(PAUSE_S);
    } catch (error) {
      if (error instanceof ApiProblem && error.retryAfterS) hold(error.retryAfterS);
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
}

export function CodeField({ codes, value, onChange, onAgain, development }: Props) {
  return (
    <div className="code-step">
      <label>
        Code from the message
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
          aria-describedby="code-hint"
          onChange={(event) => onChange(event.target.value.replace(/\D/g, ''))}
        />
      </label>
      <p className="hint" id="code-hint">
        {development ? 'This server is in development: unless it is set up to send messages, the code is in its log.' : `Sent to ${codes.sentTo}. It is good for five minutes.`}{' '}
        <button type="button" className="link" disabled={codes.wait > 0} onClick={onAgain}>
          {codes.wait ? `Send another one in ${codes.wait} s` : 'Send another one'}
        </button>
      </p>
    </div>
  );
}
