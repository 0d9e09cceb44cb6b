// Cuts a square out of a picture: by dragging, or by keyboard with the sliders.

import { type PointerEvent, useEffect, useRef, useState } from 'react';

import { type Cut, draw, MIDDLE, SIDE, square, toJpeg } from '../../picture';

interface Props {
  picture: ImageBitmap;
  busy: boolean;
  onUse: (jpeg: Blob) => void;
  onCancel: () => void;
}

const MAX_ZOOM = 4;
const SLIDERS: { key: keyof Cut; label: string; min: number; max: number }[] = [
  { key: 'zoom', label: 'Nearer', min: 1, max: MAX_ZOOM },
  { key: 'across', label: 'To the right', min: 0, max: 1 },
  { key: 'down', label: 'Down', min: 0, max: 1 },
];

export function Cropper({ picture, busy, onUse, onCancel }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [cut, setCut] = useState<Cut>(MIDDLE);
  useEffect(() => {
    if (canvas.current) draw(canvas.current, picture, cut);
  }, [picture, cut]);
  const drag = (event: PointerEvent<HTMLCanvasElement>) => {
    if (!event.currentTarget.hasPointerCapture(event.pointerId)) return;
    const { side } = square(picture, cut);
    const scale = side / event.currentTarget.clientWidth;
    setCut({ ...cut, across: shifted(cut.across, -event.movementX * scale, picture.width - side), down: shifted(cut.down, -event.movementY * scale, picture.height - side) });
  };
  const use = async () => canvas.current && onUse(await toJpeg(canvas.current));
  return (
    <div className="cropper" role="group" aria-label="Cut the picture">
      <canvas ref={canvas} width={SIDE} height={SIDE} role="img" aria-label="What will be seen of it" onPointerDown={(event) => event.currentTarget.setPointerCapture(event.pointerId)} onPointerMove={drag} />
      <div className="fields">
        {SLIDERS.map(({ key, label, min, max }) => (
          <label key={key} className="field">
            {label}
            <input type="range" min={min} max={max} step="any" value={cut[key]} onChange={(event) => setCut({ ...cut, [key]: Number(event.target.value) })} />
          </label>
        ))}
        <div className="buttons">
          <button type="button" className="primary" disabled={busy} onClick={() => void use()}>
            {busy ? 'One moment…' : 'Use this'}
          </button>
          <button type="button" className="link" disabled={busy} onClick={onCancel}>
            Cancel
          </button>
        </div>
      </div>
    </div>
  );
}

/** A place between 0 and 1, moved by some of the pixels that there are to move. */
function shifted(place: number, by: number, room: number): number {
  return room > 0 ? Math.min(1, Math.max(0, place + by / room)) : place;
}
