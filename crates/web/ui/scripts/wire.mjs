// Makes src/wire/im.gen.ts from im.proto: an interface for each message, an enum for each enum, and the table that
// src/wire/codec.ts reads and writes by. It knows the part of proto3 that im.proto uses, and fails on anything else.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';

const PROTO = new URL('../../../proto/proto/im.proto', import.meta.url);
const OUT = new URL('../src/wire/im.gen.ts', import.meta.url);
const SCALARS = { uint32: 'number', uint64: 'number', int64: 'number', sint32: 'number', bool: 'boolean', string: 'string', bytes: 'Uint8Array' };

const camel = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());
const shouting = (name) => name.replace(/([a-z])([A-Z])/g, '$1_$2').toUpperCase();

/** Messages and enums of a file, in its order. */
function parse(text) {
  const tokens = text.replace(/\/\/.*/g, '').match(/"[^"]*"|\w[\w.]*|[{}=;]/g) ?? [];
  let at = 0;
  const next = () => tokens[at++];
  const expect = (wanted) => {
    const got = next();
    if (got !== wanted) throw new Error(`im.proto: ${wanted} expected, ${got} found`);
  };
  const field = (first, oneof) => {
    const label = first === 'optional' || first === 'repeated' ? first : '';
    const type = label ? next() : first;
    const name = next();
    expect('=');
    const number = Number(next());
    expect(';');
    return { number, name: camel(name), type, label, oneof };
  };
  const message = () => {
    const fields = [];
    expect('{');
    for (let word = next(); word !== '}'; word = next()) {
      if (word !== 'oneof') {
        fields.push(field(word, ''));
        continue;
      }
      const oneof = camel(next());
      expect('{');
      for (let member = next(); member !== '}'; member = next()) fields.push(field(member, oneof));
    }
    return fields;
  };
  const values = () => {
    const all = [];
    expect('{');
    for (let name = next(); name !== '}'; name = next()) {
      expect('=');
      all.push([name, Number(next())]);
      expect(';');
    }
    return all;
  };
  const found = { messages: new Map(), enums: new Map() };
  while (at < tokens.length) {
    const word = next();
    if (word === 'message') found.messages.set(next(), message());
    else if (word === 'enum') found.enums.set(next(), values());
    else if (word === 'syntax' || word === 'package') while (next() !== ';');
    else throw new Error(`im.proto: ${word} is nothing this script knows`);
  }
  return found;
}

function typescript({ messages, enums }) {
  const out = ['// Made from crates/proto/proto/im.proto by scripts/wire.mjs. Not to be edited.', ''];
  for (const [name, values] of enums) {
    const prefix = `${shouting(name)}_`;
    out.push(`export enum ${name} {`, ...values.map(([value, number]) => `  ${value.replace(prefix, '')} = ${number},`), '}', '');
  }
  const typeOf = ({ type, label }) => {
    const one = SCALARS[type] ?? type;
    if (!SCALARS[type] && !messages.has(type) && !enums.has(type)) throw new Error(`im.proto: type ${type} is unknown`);
    return label === 'repeated' ? `${one}[]` : one;
  };
  for (const [name, fields] of messages) {
    out.push(`export interface ${name} {`);
    for (const field of fields.filter((field) => !field.oneof)) {
      const absent = field.label === 'optional' || (messages.has(field.type) && field.label !== 'repeated');
      out.push(`  ${field.name}${absent ? '?' : ''}: ${typeOf(field)};`);
    }
    for (const oneof of new Set(fields.map((field) => field.oneof).filter(Boolean))) {
      const members = fields.filter((field) => field.oneof === oneof);
      out.push(`  ${oneof}?:`, ...members.map((field) => `    | { case: '${field.name}'; value: ${typeOf(field)} }`));
      out[out.length - 1] += ';';
    }
    out.push('}', '');
  }
  out.push('/** The messages by name. */', 'export interface Types {', ...[...messages.keys()].map((name) => `  ${name}: ${name};`), '}', '');
  out.push('/** Number, name, type, label or oneof of each field. */');
  out.push('export const FIELDS: Record<keyof Types, readonly (readonly [number, string, string, string])[]> = {');
  for (const [name, fields] of messages) {
    const rows = fields.map(({ number, name, type, label, oneof }) => {
      const kind = enums.has(type) ? 'enum' : type;
      return `[${number}, '${name}', '${kind}', '${oneof ? `one:${oneof}` : label}']`;
    });
    out.push(`  ${name}: [${rows.join(', ')}],`);
  }
  out.push('};', '');
  return out.join('\n');
}

mkdirSync(new URL('.', OUT), { recursive: true });
writeFileSync(OUT, typescript(parse(readFileSync(PROTO, 'utf8'))));
