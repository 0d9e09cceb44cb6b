// Messages of im.proto to bytes and back, by the table that scripts/wire.mjs makes. Messages are plain objects, so that they
// can be copied into the browser's database as they are. Numbers of 64 bits are JavaScript numbers: ids and seqs are counted
// from 1, and one beyond 2^53 is refused instead of rounded.

import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf';

import { FIELDS, type Types } from './im.gen';

/** What may be given for a message: absent fields have their defaults. */
export type Init<T> = T extends Uint8Array | string | number | boolean | undefined
  ? T
  : T extends (infer U)[]
    ? Init<U>[]
    : T extends { case: infer C; value: infer V }
      ? { case: C; value: Init<V> }
      : { [K in keyof T]?: Init<T[K]> };

/** Deepest message within messages. im.proto needs six; more is an attack. */
const MAX_DEPTH = 12;

type Values = Record<string, unknown>;
type OneOf = { case: string; value: unknown } | undefined;

interface Field {
  number: number;
  name: string;
  type: string;
  repeated: boolean;
  optional: boolean;
  oneof: string;
}

const TABLES = new Map(
  Object.entries(FIELDS).map(([name, rows]) => {
    const fields = rows.map(([number, name, type, label]): Field => ({
      number,
      name,
      type,
      repeated: label === 'repeated',
      optional: label === 'optional',
      oneof: label.startsWith('one:') ? label.slice(4) : '',
    }));
    return [name, { fields, byNumber: new Map(fields.map((field) => [field.number, field])) }];
  }),
);

const SCALARS = new Set(['uint32', 'uint64', 'int64', 'sint32', 'enum', 'bool', 'string', 'bytes']);

function tableOf(type: string) {
  const table = TABLES.get(type);
  if (!table) throw new Error(`no message ${type}`);
  return table;
}

/** A whole message from parts of it. */
export function make<N extends keyof Types>(type: N, init: Init<Types[N]> = {} as Init<Types[N]>): Types[N] {
  return complete(type, init as Values) as unknown as Types[N];
}

function complete(type: string, init: Values): Values {
  const whole: Values = {};
  const nested = (type: string, value: unknown) => (SCALARS.has(type) ? value : complete(type, value as Values));
  for (const field of tableOf(type).fields) {
    if (field.oneof) {
      const chosen = init[field.oneof] as OneOf;
      if (chosen?.case === field.name) whole[field.oneof] = { case: field.name, value: nested(field.type, chosen.value) };
      continue;
    }
    const given = init[field.name];
    if (field.repeated) whole[field.name] = ((given as unknown[]) ?? []).map((one) => nested(field.type, one));
    else if (given !== undefined) whole[field.name] = nested(field.type, given);
    else if (!field.optional && SCALARS.has(field.type)) whole[field.name] = nothing(field.type);
  }
  return whole;
}

function nothing(type: string): unknown {
  if (type === 'string') return '';
  if (type === 'bool') return false;
  return type === 'bytes' ? new Uint8Array(0) : 0;
}

export function encode<N extends keyof Types>(type: N, message: Init<Types[N]>): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(write(type, message as Values).finish());
}

function write(type: string, message: Values): BinaryWriter {
  const writer = new BinaryWriter();
  for (const field of tableOf(type).fields) {
    if (field.oneof) {
      const chosen = message[field.oneof] as OneOf;
      if (chosen?.case === field.name) writeField(writer, field, chosen.value);
    } else if (field.repeated) {
      writeAll(writer, field, (message[field.name] as unknown[]) ?? []);
    } else {
      const value = message[field.name];
      if (value !== undefined && (field.optional || !isNothing(value))) writeField(writer, field, value);
    }
  }
  return writer;
}

function isNothing(value: unknown): boolean {
  return value === 0 || value === '' || value === false || (value instanceof Uint8Array && value.length === 0);
}

function writeAll(writer: BinaryWriter, field: Field, values: unknown[]) {
  const packed = SCALARS.has(field.type) && field.type !== 'string' && field.type !== 'bytes';
  if (!packed) return values.forEach((value) => writeField(writer, field, value));
  if (!values.length) return undefined;
  writer.tag(field.number, WireType.LengthDelimited).fork();
  values.forEach((value) => writeScalar(writer, field.type, value));
  writer.join();
  return undefined;
}

function writeField(writer: BinaryWriter, { number, type }: Field, value: unknown) {
  if (!SCALARS.has(type)) {
    writer.tag(number, WireType.LengthDelimited).bytes(write(type, value as Values).finish());
    return;
  }
  writer.tag(number, type === 'string' || type === 'bytes' ? WireType.LengthDelimited : WireType.Varint);
  writeScalar(writer, type, value);
}

function writeScalar(writer: BinaryWriter, type: string, value: unknown) {
  switch (type) {
    case 'uint32':
      return writer.uint32(value as number);
    case 'uint64':
      return writer.uint64(value as number);
    case 'int64':
      return writer.int64(value as number);
    case 'sint32':
      return writer.sint32(value as number);
    case 'enum':
      return writer.int32(value as number);
    case 'bool':
      return writer.bool(value as boolean);
    case 'string':
      return writer.string(value as string);
    default:
      return writer.bytes(value as Uint8Array);
  }
}

export function decode<N extends keyof Types>(type: N, bytes: Uint8Array): Types[N] {
  return read(type, new BinaryReader(bytes), bytes.length, 0) as unknown as Types[N];
}

function read(type: string, reader: BinaryReader, length: number, depth: number): Values {
  if (depth > MAX_DEPTH) throw new Error('messages within messages within messages');
  const message = complete(type, {});
  const { byNumber } = tableOf(type);
  const end = reader.pos + length;
  while (reader.pos < end) {
    const [number, wire] = reader.tag();
    const field = byNumber.get(number);
    if (field && (wire === WireType.Varint || wire === WireType.LengthDelimited)) readField(message, field, reader, wire, depth);
    else reader.skip(wire, number);
  }
  if (reader.pos !== end) throw new Error(`${type} ends within a field`);
  return message;
}

function readField(message: Values, field: Field, reader: BinaryReader, wire: WireType, depth: number) {
  const delimited = !SCALARS.has(field.type) || field.type === 'string' || field.type === 'bytes';
  if (field.repeated && !delimited && wire === WireType.LengthDelimited) {
    const end = reader.uint32() + reader.pos;
    while (reader.pos < end) (message[field.name] as unknown[]).push(readScalar(reader, field.type));
    return;
  }
  if (delimited !== (wire === WireType.LengthDelimited)) throw new Error(`${field.name} is of another type`);
  const value = SCALARS.has(field.type)
    ? readScalar(reader, field.type)
    : read(field.type, reader, reader.uint32(), depth + 1);
  if (field.oneof) message[field.oneof] = { case: field.name, value };
  else if (field.repeated) (message[field.name] as unknown[]).push(value);
  else message[field.name] = value;
}

function readScalar(reader: BinaryReader, type: string): unknown {
  switch (type) {
    case 'uint32':
      return reader.uint32();
    case 'uint64':
      return exact(reader.uint64());
    case 'int64':
      return exact(reader.int64());
    case 'sint32':
      return reader.sint32();
    case 'enum':
      return reader.int32();
    case 'bool':
      return reader.bool();
    case 'string':
      return reader.string();
    default:
      // A copy: the piece of the network that it lies in is larger.
      return reader.bytes().slice();
  }
}

function exact(value: bigint | string): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw new Error(`${value} is beyond what a browser counts to`);
  return number;
}
