// One's picture: chosen, cut to a square, shown to colleagues as the policy lets; or taken away.

import { useRef, useState } from 'react';

import { type Company, type Detail } from '../../company';
import { open, removePicture, setPicture } from '../../picture';
import { Waiting } from '../Part';
import { Portrait } from '../Portrait';
import { useLoaded, useTask } from '../useTask';

import { Cropper } from './Cropper';

export function PictureForm({ company }: { company: Company }) {
  const { login } = company;
  const { value, problem, again } = useLoaded(async () => {
    const [me, detail] = await Promise.all([login.refreshMe(), company.detail(login.account.id)]);
    return { own: me.picture ?? '', detail };
  }, company);
  const file = useRef<HTMLInputElement>(null);
  const [chosen, setChosen] = useState<ImageBitmap>();
  const task = useTask();
  const { busy, run } = task;
  if (!value) return <Waiting problem={problem} onAgain={again} />;
  const close = () => {
    chosen?.close();
    setChosen(undefined);
  };
  const choose = (files: FileList | null) => {
    const [first] = files ?? [];
    if (first) void run(async () => setChosen(await open(first)));
  };
  const use = (jpeg: Blob) =>
    run(async () => {
      await setPicture(login, jpeg);
      close();
      again();
    });
  const note = standingOf(value.own, value.detail);
  return (
    <>
      {chosen ? (
        <Cropper picture={chosen} busy={busy} onUse={(jpeg) => void use(jpeg)} onCancel={close} />
      ) : (
        <div className="picture-form">
          <Portrait of={{ ...value.detail.member, picture: value.own }} />
          <div className="buttons">
            <button type="button" className="secondary" disabled={busy} onClick={() => file.current?.click()}>
              {value.own ? 'Choose another picture' : 'Choose a picture'}
            </button>
            {value.own && (
              <button type="button" className="secondary danger" disabled={busy} onClick={() => void run(() => removePicture(login).then(again))}>
                Remove picture
              </button>
            )}
          </div>
        </div>
      )}
      <input ref={file} type="file" hidden accept="image/png,image/jpeg,image/gif,image/webp" aria-label="Picture file" onChange={(event) => {
        choose(event.target.files);
        // The same file may be chosen again.
        event.target.value = '';
      }} />
      {task.problem && <p className="refused" role="alert">{task.problem}</p>}
      {note && <p className="told" role="status">{note}</p>}
    </>
  );
}

/** The address of a picture changes with time; its name does not. */
const nameIn = (path: string) => path.split('?')[0];

/** Why colleagues see another picture than one has chosen, if they do. */
function standingOf(own: string, { member, waiting }: Detail): string {
  if (waiting?.picture !== undefined) return 'Colleagues see it when an administrator has agreed.';
  if (nameIn(own) === nameIn(member.picture ?? '')) return '';
  return member.picture ? 'Colleagues here see the picture before: your organisation does not let members change it.' : 'Colleagues here do not see it: your organisation does not let members change their picture.';
}
