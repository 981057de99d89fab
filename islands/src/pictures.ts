/** Pictures on their way into a request: chosen, pasted, dropped, named by an address, or a result used again. */
import { call, local } from "./api";
import { broken } from "./checks";
import { say } from "./page";
import type { Validation } from "./schema";

export interface Picture {
  /** What is sent; empty until the picture is on the server. */
  address: string;
  /** What the page loads: one address for the picture's whole life. Empty: the page cannot show it. */
  shown: string;
  name: string;
  /** In pixels, upright; 0: not known. */
  width: number;
  height: number;
  problem?: string;
}

const SENT_AS_THEY_ARE = ["image/png", "image/jpeg", "image/webp"];

/** A picture from a file, judged by the field's rules before a byte is sent. */
export async function fromFile(file: File, rules: Validation[]): Promise<{ picture: Picture; file: Blob }> {
  const shown = URL.createObjectURL(file);
  const picture: Picture = { address: "", shown, name: file.name, width: 0, height: 0 };
  try {
    const { naturalWidth: width, naturalHeight: height, ...image } = await decoded(shown);
    const sent = SENT_AS_THEY_ARE.includes(file.type) ? file : await asPng(image.element, width, height);
    const problem = broken({ width, height, bytes: sent.size }, rules);
    return { picture: { ...picture, width, height, ...(problem && { problem }) }, file: sent };
  } catch {
    return { picture: { ...picture, problem: say("no_picture") }, file };
  }
}

/** A picture from an address. One of this server is shown; others the page does not load, the server does. */
export async function fromAddress(address: string): Promise<Picture> {
  const picture: Picture = { address, shown: "", name: address, width: 0, height: 0 };
  const shown = address.startsWith("data:") ? address : local(address);
  if (!shown) return picture;
  try {
    const { naturalWidth: width, naturalHeight: height } = await decoded(shown);
    return { ...picture, shown, name: shown.startsWith("data:") ? "" : (shown.split("/").pop() ?? ""), width, height };
  } catch {
    return { ...picture, problem: say("picture_gone") };
  }
}

/** Put a file on the server. Raises Refusal and Offline. */
export async function upload(file: Blob): Promise<string> {
  return (await call<{ url: string }>("/v1/files", { blob: file })).url;
}

/** Let go of a picture that no field holds any more. */
export function release(picture: Picture | null): void {
  if (picture?.shown.startsWith("blob:")) URL.revokeObjectURL(picture.shown);
}

interface Decoded {
  element: HTMLImageElement;
  naturalWidth: number;
  naturalHeight: number;
}

export async function decoded(source: string): Promise<Decoded> {
  const element = new Image();
  element.src = source;
  await element.decode();
  return { element, naturalWidth: element.naturalWidth, naturalHeight: element.naturalHeight };
}

/** What the browser can read and the server does not take (AVIF, GIF, BMP …) goes as PNG. */
async function asPng(image: HTMLImageElement, width: number, height: number): Promise<Blob> {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d")?.drawImage(image, 0, 0);
  return pngOf(canvas);
}

export function pngOf(canvas: HTMLCanvasElement): Promise<Blob> {
  return new Promise((resolve, reject) =>
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error(say("no_picture")))), "image/png"),
  );
}
