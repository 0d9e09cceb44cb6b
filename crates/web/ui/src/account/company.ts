// An organisation as one of its members sees it: people, departments, positions, and what may be done about them.

import type { Login, Organisation } from './login';
import { readPolicy, ruleOf } from './policy';

export interface Place {
  department: number;
  position?: number | null;
}

export interface Member {
  account: number;
  /** Who it is in chat. */
  user: number;
  display_name: string;
  /** Where the picture is, for some hours: an address that needs no token. */
  picture?: string | null;
  role: 'owner' | 'admin' | 'member';
  scopes: string[];
  /** The first is the one to show. */
  places: Place[];
  about: string;
  email: string;
  workplace: string;
  employee_number: string;
  joined_s: number;
}

export type Edit = Partial<Pick<Member, 'display_name' | 'about' | 'email' | 'workplace' | 'employee_number' | 'places'>>;

export interface Waiting {
  id: number;
  account: number;
  edit: Edit;
  /** Of another picture: where it is; empty: it is to go. */
  picture?: string;
}

export interface Detail {
  member: Member;
  /** One's own edit that somebody has to agree to. */
  waiting?: Waiting | null;
}

export interface Department {
  id: number;
  /** 0: the organisation itself. */
  parent: number;
  name: string;
  /** Lower stands first. */
  rank: number;
  /** Right in it. */
  members: number;
  /** In it and below. */
  total: number;
}

export interface Position {
  id: number;
  name: string;
  rank: number;
}

export interface Page {
  members: Member[];
  next?: string | null;
}

export interface Standing extends Organisation {
  role: Member['role'];
  scopes: string[];
  members: number;
}

export interface Asking {
  id: number;
  display_name: string;
}

/** An open one. */
export interface Invitation {
  id: number;
  /** None: it is a link. */
  phone?: string | null;
  uses_left: number;
  needs_approval: boolean;
  expires_s: number;
}

/** What becomes of members' edits of a field of their own profiles. */
export type FieldRule = 'free' | 'approval' | 'locked';

/** How long the tree and the positions are taken as known: they change by hand, and rarely. */
const FRESH_MS = 30_000;
/** Members in a page. */
export const PAGE = 50;
/** Of a search while somebody types. */
const FOUND = 20;

export class Company {
  /** As last asked for; empty before. */
  departments: Department[] = [];
  positions: Position[] = [];
  private byId = new Map<number, Department>();
  private names = new Map<number, Promise<string>>();
  private asked = -Infinity;
  private loading?: Promise<void>;

  constructor(
    readonly login: Login,
    public org: Organisation,
  ) {}

  standing(): Promise<Standing> {
    return this.login.get(this.path(''));
  }

  /** Brings the tree and the positions up to date; `again`: whatever is known. */
  load(again = false): Promise<void> {
    if (!again && performance.now() - this.asked < FRESH_MS) return this.loading ?? Promise.resolve();
    this.asked = performance.now();
    this.loading = this.loadNow();
    return this.loading;
  }

  private async loadNow() {
    try {
      const departments = this.login.get<{ departments: Department[] }>(this.path('/departments'));
      const positions = this.login.get<{ positions: Position[] }>(this.path('/positions'));
      [{ departments: this.departments }, { positions: this.positions }] = await Promise.all([departments, positions]);
      this.byId = new Map(this.departments.map((one) => [one.id, one]));
    } catch (error) {
      this.asked = -Infinity;
      throw error;
    }
  }

  /** By name, pinyin, initials, or a whole number. */
  find(question: string): Promise<Page> {
    return this.login.get(this.path(`/directory?limit=${FOUND}&q=${encodeURIComponent(question)}`));
  }

  /** Who stands right in a department; 0: in none. */
  members(department: number, cursor?: string): Promise<Page> {
    const after = cursor ? `&cursor=${encodeURIComponent(cursor)}` : '';
    return this.login.get(this.path(`/members?department=${department}&limit=${PAGE}${after}`));
  }

  detail(account: number): Promise<Detail> {
    return this.login.get(this.path(`/members/${account}`));
  }

  edit(account: number, edit: Edit): Promise<Detail> {
    return this.login.ask('PATCH', this.path(`/members/${account}`), edit);
  }

  /** All members whom one may see, by name. */
  everybody(cursor?: string): Promise<Page> {
    return this.login.get(this.path(`/members?limit=${PAGE}${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`));
  }

  /** How somebody is called, asked for once. Who has left, or cannot be seen, has a number only. */
  nameOf(account: number): Promise<string> {
    const known = this.names.get(account);
    if (known) return known;
    const name = this.detail(account).then(
      ({ member }) => member.display_name,
      () => `account ${account}`,
    );
    this.names.set(account, name);
    return name;
  }

  async rules(): Promise<(field: string) => FieldRule> {
    const { policy } = await readPolicy(this);
    return (field) => ruleOf(policy, field);
  }

  setRole(account: number, role: Member['role'], scopes: string[]): Promise<void> {
    return this.login.ask('PUT', this.path(`/members/${account}/role`), { role, scopes });
  }

  remove(account: number): Promise<void> {
    return this.login.ask('DELETE', this.path(`/members/${account}`));
  }

  leave(): Promise<void> {
    return this.login.ask('POST', this.path('/leave'));
  }

  async rename(title: string): Promise<void> {
    await this.login.ask('PATCH', this.path(''), { title });
    this.org = { ...this.org, title };
    this.login.choose(this.org);
  }

  /** Ends the organisation for everybody. Its title says that it is the one that is meant. */
  dissolve(title: string): Promise<void> {
    return this.login.ask('POST', this.path('/dissolve'), { title });
  }

  inviteNumber(phone: string, needsApproval: boolean): Promise<unknown> {
    return this.login.create(this.path('/invitations'), { phone, needs_approval: needsApproval });
  }

  /** The secret of a link that lets so many in. */
  async inviteByLink(uses: number, needsApproval: boolean): Promise<string> {
    const body = { uses, needs_approval: needsApproval };
    const { link_token } = await this.login.create<{ link_token: string }>(this.path('/invitations'), body);
    return link_token;
  }

  async invitations(): Promise<Invitation[]> {
    return (await this.login.get<{ invitations: Invitation[] }>(this.path('/invitations'))).invitations;
  }

  withdraw(invitation: number): Promise<void> {
    return this.login.ask('DELETE', this.path(`/invitations/${invitation}`));
  }

  async asking(): Promise<Asking[]> {
    return (await this.login.get<{ requests: Asking[] }>(this.path('/join-requests'))).requests;
  }

  async edits(): Promise<Waiting[]> {
    return (await this.login.get<{ requests: Waiting[] }>(this.path('/edit-requests'))).requests;
  }

  decide(what: 'join-requests' | 'edit-requests', request: number, approve: boolean): Promise<void> {
    return this.login.ask('POST', this.path(`/${what}/${request}`), { approve });
  }

  /** From the top to a department. */
  way(department: number): Department[] {
    const way: Department[] = [];
    for (let at = this.byId.get(department); at && !way.includes(at); at = this.byId.get(at.parent)) way.unshift(at);
    return way;
  }

  /** The same in words: “Research › Optics”. */
  pathOf(department: number): string {
    return this.way(department)
      .map(({ name }) => name)
      .join(' › ');
  }

  below(department: number): Department[] {
    return this.departments.filter((one) => one.parent === department);
  }

  /** As what, and where: “Engineer, Research”. */
  placeOf({ places }: Pick<Member, 'places'>): string {
    const [place] = places;
    if (!place) return '';
    const position = this.positions.find((one) => one.id === place.position)?.name;
    const department = this.byId.get(place.department)?.name;
    return [position, department].filter(Boolean).join(', ');
  }

  /** Of a route of this organisation. */
  path(rest: string): string {
    return `/v1/organisations/${this.org.id}${rest}`;
  }
}

/** What an administrator may be there for. */
export const SCOPES = ['members', 'departments', 'meetings', 'content', 'audit'] as const;

/** What only owners do. */
export const OWNERS = 'owners';

/** Whether a role lets somebody do what takes a scope. */
export function may({ role, scopes }: Pick<Member, 'role' | 'scopes'>, scope: string): boolean {
  return role === 'owner' || (role === 'admin' && scopes.includes(scope));
}
