/** Text for man(7). */

/** As it is to be read: no letter of it is a command, and a dash stays the one that is typed. */
export function roff(text: string): string {
  return text
    .replaceAll('\\', String.raw`\e`)
    .replaceAll('-', String.raw`\-`)
    .replaceAll(/^([.'])/gm, String.raw`\&$1`);
}

/** In bold, as what is typed so. */
export function bold(text: string): string {
  return String.raw`\fB${roff(text)}\fR`;
}

/** In italics, as what stands for something. */
export function italic(text: string): string {
  return String.raw`\fI${roff(text)}\fR`;
}
