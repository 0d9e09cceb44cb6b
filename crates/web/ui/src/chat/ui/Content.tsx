// What a message carries: words, a picture, a file, a voice.

import { Fragment } from 'react';

import { Icon } from '../../icons';
import type { BlobRef, Body } from '../../wire/im.gen';

import { size } from './format';
import { EVERYBODY, type Named, split } from './mentions';
import { useBlob, useBlobLink } from './useBlob';
import { useClient } from './useClient';
import { summary, type Shown } from './view';
import { VoiceNote } from './VoiceNote';

/** Largest side of a picture in the list, in CSS pixels. */
const PICTURE_PX = 320;

export function Content({ conv, shown }: { conv: number; shown: Shown }) {
  const kind = shown.body.kind;
  switch (kind?.case) {
    case 'text':
      return <Words text={shown.text} body={shown.body} />;
    case 'voice':
      return <VoiceNote conv={conv} voice={kind.value} />;
    case 'image':
      return (
        <>
          {kind.value.blob && <Picture conv={conv} blob={kind.value.blob} width={kind.value.width} height={kind.value.height} alt={shown.text} />}
          {shown.text && <Words text={shown.text} />}
        </>
      );
    case 'file':
      return (
        <>
          {kind.value.blob && <Attachment conv={conv} blob={kind.value.blob} />}
          {shown.text && <Words text={shown.text} />}
        </>
      );
    case 'location': {
      const [latitude, longitude] = [kind.value.latitudeE7 / 1e7, kind.value.longitudeE7 / 1e7];
      return <Words text={`${kind.value.label || 'Location'} (${latitude.toFixed(5)}, ${longitude.toFixed(5)})`} />;
    }
    default:
      return <p className="dim">{summary(shown.body)}</p>;
  }
}

const ADDRESS = /(https?:\/\/[^\s<>"]+[^\s<>".,;:!?)\]])/;

/** Text with its addresses made to follow, and those who are called by name to be seen. */
function Words({ text, body }: { text: string; body?: Body }) {
  const calls = body && (body.mentions.length > 0 || body.mentionAll) ? body : undefined;
  return (
    <p className="words" dir="auto">
      {text.split(ADDRESS).map((part, at) =>
        at % 2 ? (
          <a key={at} href={part} target="_blank" rel="noreferrer noopener">
            {part}
          </a>
        ) : (
          <Fragment key={at}>{calls ? <Called text={part} body={calls} /> : part}</Fragment>
        ),
      )}
    </p>
  );
}

/** It follows what people are called: their names may come later. */
function Called({ text, body }: { text: string; body: Body }) {
  const { people, me } = useClient();
  const called: Named[] = body.mentions.map((user) => ({ user, name: people.name(user) }));
  if (body.mentionAll) called.push(EVERYBODY);
  const own = [`@${people.name(me.id)}`, `@${EVERYBODY.name}`];
  return split(text, called).map((part, at) =>
    at % 2 ? (
      <span key={at} className={own.includes(part) ? 'called me' : 'called'}>
        {part}
      </span>
    ) : (
      part
    ),
  );
}

interface PictureProps {
  conv: number;
  blob: BlobRef;
  width: number;
  height: number;
  alt: string;
}

function Picture({ conv, blob, width, height, alt }: PictureProps) {
  const source = useBlob(conv, blob);
  const link = useBlobLink(blob, source);
  const scale = Math.min(1, PICTURE_PX / Math.max(width, height, 1));
  const box = width && height ? { width: Math.round(width * scale), height: Math.round(height * scale) } : {};
  // The box is there before the picture, so that nothing moves when it comes.
  return (
    <a className="picture" {...link} target="_blank" rel="noreferrer noopener" style={{ width: box.width, aspectRatio: box.width ? `${width} / ${height}` : undefined }}>
      {source.path && <img src={source.path} alt={alt || blob.name || 'Picture'} {...box} loading="lazy" onError={source.failed} />}
    </a>
  );
}

function Attachment({ conv, blob }: { conv: number; blob: BlobRef }) {
  const link = useBlobLink(blob, useBlob(conv, blob));
  return (
    <a className="file" {...link} download={blob.name || 'file'}>
      <Icon name="file" />
      <span className="grow">
        <strong>{blob.name || 'File'}</strong>
        <span className="dim">{size(blob.size)}</span>
      </span>
    </a>
  );
}
