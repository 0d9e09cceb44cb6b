// Where one writes: text, files, a voice message; an answer to a message, or another wording of one's own.

import { type ClipboardEvent, type KeyboardEvent, useEffect, useRef, useState } from 'react';

import { Icon } from '../../icons';
import { Notice } from '../../Notice';
import type { Init } from '../../wire/codec';
import { type Body, TypingKind } from '../../wire/im.gen';
import { canRecord } from '../microphone';
import type { Conversation } from '../replica/conversation';

import { pick } from './attach';
import { Avatar } from './Avatar';
import { isComposing } from './composing';
import { length } from './format';
import { calledIn, EVERYBODY, type Named } from './mentions';
import { Quote } from './Message';
import type { Intent } from './Thread';
import { useClient } from './useClient';
import { callable, type Mentions, useMentions } from './useMentions';
import { useRecorder } from './useRecorder';
import { useText } from './useText';

const MAX_VOICE_MS = 10 * 60_000;
const LIST = 'candidates';

interface Props {
  conversation: Conversation;
  intent?: Intent;
  onDone: () => void;
}

export function Composer({ conversation, intent, onDone }: Props) {
  const client = useClient();
  const conv = conversation.id;
  const editing = intent?.what === 'edit' ? intent.shown : undefined;
  const { text, setText } = useText(conv, editing);
  const [problem, setProblem] = useState('');
  const area = useRef<HTMLTextAreaElement>(null);
  const files = useRef<HTMLInputElement>(null);
  // Of a large group this asks for many names, and nearly all messages call nobody.
  const people = text.includes('@') ? callable(client, conversation) : [];
  const mentions = useMentions(area, text, setText, people);
  const recorder = useRecorder(client.limits.maxVoiceMs || MAX_VOICE_MS);

  useEffect(() => {
    if (intent) area.current?.focus();
  }, [intent]);
  useEffect(() => {
    const { current } = area;
    if (!current) return;
    current.style.height = 'auto';
    current.style.height = `${Math.min(current.scrollHeight, 180)}px`;
  }, [text]);

  const replyTo = intent?.what === 'reply' ? intent.shown.seq : 0;
  /** What one has begun to write stays, and comes back after an edit. */
  const drop = () => {
    setProblem('');
    onDone();
  };
  const send = () => {
    const words = text.trim();
    if (!words) return;
    const most = client.limits.maxTextBytes;
    if (most && new TextEncoder().encode(words).length > most) {
      setProblem('This is longer than a message may be. Send it in parts, or as a file.');
      return;
    }
    const body: Init<Body> = editing ? { target: editing.seq, kind: { case: 'edit', value: { text: words } } } : { replyTo, ...bodyOf(words, people) };
    if (words !== editing?.text && !client.send(conv, body)) return;
    if (!editing) setText('');
    drop();
    client.typing(conv, TypingKind.STOPPED);
    area.current?.focus();
  };
  const attach = async (list: Iterable<File>) => {
    for (const file of list) {
      const most = client.limits.maxBlobBytes;
      if (most && file.size > most) setProblem(`${file.name} is larger than this server takes.`);
      else client.uploads.add(await pick(conv, file, replyTo));
    }
    if (replyTo) onDone();
  };
  const speak = async () => {
    const voice = await recorder.finish();
    if (voice?.size) client.uploads.add(await pick(conv, voice, replyTo));
    if (replyTo) onDone();
  };
  const key = (event: KeyboardEvent) => {
    if (isComposing(event) || mentions.onKey(event)) return;
    if (event.key === 'Enter' && !event.shiftKey) {
      event.preventDefault();
      send();
    } else if (event.key === 'Escape' && intent) {
      drop();
    }
  };
  const paste = (event: ClipboardEvent) => {
    if (!event.clipboardData.files.length) return;
    event.preventDefault();
    void attach([...event.clipboardData.files]);
  };

  return (
    <footer className="composer">
      {recorder.problem && <Notice problem={recorder.problem} />}
      {problem && <p className="refused" role="alert">{problem}</p>}
      {intent && (
        <div className="intent">
          <Icon name={intent.what} />
          <Quote conversation={conversation} seq={intent.shown.seq} />
          <button type="button" className="plain" aria-label={editing ? 'Do not edit' : 'Do not reply'} onClick={drop}>
            <Icon name="close" />
          </button>
        </div>
      )}
      {recorder.recording ? (
        <div className="line" role="group" aria-label="Recording">
          <button type="button" className="round small" aria-label="Discard recording" title="Discard recording" onClick={recorder.cancel}>
            <Icon name="trash" />
          </button>
          <span className="recording grow" role="timer">
            {length(recorder.elapsedMs)}
          </span>
          <button type="button" className="round small go" aria-label="Send voice message" title="Send voice message" onClick={() => void speak()}>
            <Icon name="send" />
          </button>
        </div>
      ) : (
        <div className="line">
          <Candidates mentions={mentions} />
          <button type="button" className="round small" aria-label="Attach files" title="Attach files" onClick={() => files.current?.click()}>
            <Icon name="attach" />
          </button>
          <input
            ref={files}
            type="file"
            multiple
            hidden
            onChange={(event) => {
              void attach([...(event.target.files ?? [])]);
              event.target.value = '';
            }}
          />
          <textarea
            ref={area}
            rows={1}
            value={text}
            aria-label="Message"
            placeholder="Write a message"
            dir="auto"
            aria-controls={mentions.found.length ? LIST : undefined}
            aria-activedescendant={mentions.found.length ? `${LIST}-${mentions.at}` : undefined}
            onSelect={mentions.onCaret}
            onChange={(event) => {
              setText(event.target.value);
              mentions.onCaret();
              client.typing(conv, event.target.value ? TypingKind.TEXT : TypingKind.STOPPED);
            }}
            onKeyDown={key}
            onPaste={paste}
          />
          {text.trim() || !canRecord() ? (
            <button type="button" className="round small go" aria-label="Send" title="Send" disabled={!text.trim()} onClick={send}>
              <Icon name={editing ? 'check' : 'send'} />
            </button>
          ) : (
            <button
              type="button"
              className="round small"
              aria-label="Record voice message"
              title="Record voice message"
              disabled={recorder.starting}
              onClick={() => {
                client.typing(conv, TypingKind.VOICE);
                void recorder.start();
              }}
            >
              <Icon name="mic" />
            </button>
          )}
        </div>
      )}
    </footer>
  );
}

/** A message, with those who are called by name in it. */
function bodyOf(text: string, people: Named[]): Init<Body> {
  const called = calledIn(text, people);
  const mentions = called.filter((named) => named !== EVERYBODY).map(({ user }) => user);
  return { mentions, mentionAll: called.includes(EVERYBODY), kind: { case: 'text', value: { text } } };
}

/** Those who may be meant by what is typed behind an `@`. */
function Candidates({ mentions: { found, at, choose } }: { mentions: Mentions }) {
  if (!found.length) return null;
  return (
    <ul className="candidates" role="listbox" id={LIST} aria-label="Call by name">
      {found.map((named, index) => (
        // Pressed, not clicked: the writing field is not to lose the focus.
        <li
          key={named.user}
          id={`${LIST}-${index}`}
          role="option"
          aria-selected={index === at}
          onPointerDown={(event) => {
            event.preventDefault();
            choose(named);
          }}
        >
          <Avatar name={named.name} id={named.user} user={named.user} />
          {named === EVERYBODY ? 'all — everybody in the group' : named.name}
        </li>
      ))}
    </ul>
  );
}
