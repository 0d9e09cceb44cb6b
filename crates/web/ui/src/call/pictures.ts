// Where pictures of people are. Addresses come from the server, in the name of somebody else: nothing but that is followed.

const PICTURES = '/v1/pictures/';

/** Path and query of the picture that an attribute of a participant names, on the server that this page is from. */
export function picturePath(attribute: string | undefined, origin = location.origin): string | undefined {
  try {
    const { pathname, search } = new URL(attribute ?? '', origin);
    return attribute && pathname.startsWith(PICTURES) ? pathname + search : undefined;
  } catch {
    return undefined;
  }
}
