import { expect, test } from 'vitest';

import type { Department } from '../company';
import { branch, inTreeOrder, lastRank, reordered } from '../structure';

const department = (id: number, parent: number, rank = 0): Department => ({ id, parent, rank, name: `d${id}`, members: 0, total: 0 });
// Level by level, as the server tells them.
const TREE = [department(1, 0), department(2, 0), department(3, 1), department(4, 2), department(5, 3)];

test('each department stands behind the one above it', () => {
  expect(inTreeOrder(TREE).map(({ department: { id }, depth }) => [id, depth])).toEqual([[1, 0], [3, 1], [5, 2], [2, 0], [4, 1]]);
});

test('what stands below something hidden stands at the top', () => {
  expect(inTreeOrder([department(7, 6)]).map(({ depth }) => depth)).toEqual([0]);
});

test('a branch is a department and all below it', () => {
  expect([...branch(TREE, 1)]).toEqual([1, 3, 5]);
});

test.each<[number, -1 | 1, number[], [number, number][]]>([
  [2, -1, [10, 20, 30], [[2, 10], [1, 20]]],
  [2, 1, [10, 20, 30], [[3, 20], [2, 30]]],
  // The first has nothing above it, the last nothing below.
  [1, -1, [10, 20, 30], []],
  [3, 1, [10, 20, 30], []],
  // Equal ranks are told apart, so that the order stays what it is for the others.
  [3, -1, [0, 0, 0], [[1, 10], [3, 20], [2, 30]]],
])('%i moves by %i among ranks %j', (id, by, ranks, changed) => {
  const siblings = ranks.map((rank, at) => department(at + 1, 0, rank));
  expect(reordered(siblings, id, by).map((one) => [one.id, one.rank])).toEqual(changed);
});

test('the last rank is behind all others', () => {
  expect([lastRank([]), lastRank([{ rank: 10 }, { rank: 40 }]), lastRank([{ rank: -5 }])]).toEqual([10, 50, 10]);
});
