// @ts-check
/**
 * What takes a while and needs little of the page, begun as soon as this is here: the rest of the page is read meanwhile.
 */
import { Outbox } from "./outbox.js";
import { dial } from "./socket.js";
import { placeOf } from "./view.js";

export const place = placeOf(location.pathname, location.search);
export const socket = place && dial();
export const opening = Outbox.open();
