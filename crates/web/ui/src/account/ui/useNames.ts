// How the people are called whom a log names by their accounts.

import { useEffect, useState } from 'react';

import type { Company } from '../company';

export function useNames(company: Company, accounts: readonly number[]): (account: number) => string {
  const [names, setNames] = useState<ReadonlyMap<number, string>>(new Map());
  const wanted = accounts.join();
  useEffect(() => {
    let left = false;
    void Promise.all(accounts.map(async (account) => [account, await company.nameOf(account)] as const)).then((found) => {
      if (!left) setNames((before) => new Map([...before, ...found]));
    });
    return () => {
      left = true;
    };
    // What is asked for is in `wanted`.
  }, [company, wanted]);
  return (account) => names.get(account) ?? `account ${account}`;
}
