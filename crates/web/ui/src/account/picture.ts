// A picture of oneself: a square cut out of what somebody chose, small enough for the server.

import type { Login, Me } from './login';

/** Pixels of a side: sharp as the largest avatar on a dense screen, and far below the 512 KiB that the server takes. */
export const SIDE = 512;
const QUALITY = 0.9;

/** What is cut out: how near, and where; 0.5 is the middle. */
export interface Cut {
  /** 1: as much as fits. */
  zoom: number;
  across: number;
  down: number;
}

export const MIDDLE: Cut = { zoom: 1, across: 0.5, down: 0.5 };

interface Size {
  width: number;
  height: number;
}

/** The square of a picture that a cut shows, within it whatever the cut says. */
export function square({ width, height }: Size, { zoom, across, down }: Cut): { x: number; y: number; side: number } {
  const side = Math.min(width, height) / Math.max(1, zoom);
  const within = (part: number) => Math.min(1, Math.max(0, part));
  return { x: (width - side) * within(across), y: (height - side) * within(down), side };
}

/** Draws the square that a cut shows over the whole of a canvas. What is transparent becomes white: the picture is a JPEG. */
export function draw(canvas: HTMLCanvasElement, picture: ImageBitmap, cut: Cut) {
  const context = canvas.getContext('2d');
  if (!context) throw new Error('This browser cannot cut pictures. Use another one.');
  const { x, y, side } = square(picture, cut);
  context.imageSmoothingQuality = 'high';
  context.fillStyle = '#fff';
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(picture, x, y, side, side, 0, 0, canvas.width, canvas.height);
}

/** The picture in a file, as it is meant to be looked at. */
export async function open(file: Blob): Promise<ImageBitmap> {
  return createImageBitmap(file).catch(() => {
    throw new Error('This is no picture that your browser can show. Choose a PNG, JPEG, GIF or WebP file.');
  });
}

export function toJpeg(canvas: HTMLCanvasElement): Promise<Blob> {
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error('The picture could not be made smaller. Choose another one.'))), 'image/jpeg', QUALITY);
  });
}

export function setPicture(login: Login, jpeg: Blob): Promise<Me> {
  return login.ask('PUT', '/v1/me/avatar', jpeg);
}

export function removePicture(login: Login): Promise<Me> {
  return login.ask('DELETE', '/v1/me/avatar');
}
