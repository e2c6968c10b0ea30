// What the benchmarks ask of the page: to show views, and when a person can see something.
"use strict";
(() => {
    const ask = globalThis.requestAnimationFrame.bind(globalThis);
    const probes = {
        /** ms since the navigation at which the first samples were painted */
        firstSignal: undefined,
        /** ms from a key to its picture, to the beginning of the frame that shows it, and to the log's answer */
        painted: [], framed: [], acknowledged: [],
        /** when a newer sample of a stream was painted first: `[stream, its ns, ms since 1970]`; undefined: nobody asks */
        arrived: undefined,
    };
    let known = 0, pressed, unanswered;
    globalThis.requestAnimationFrame = (callback) => ask((time) => {
        callback(time);
        if (globalThis.timeline && timeline.painted > known) signals();
    });
    const signals = () => {
        const now = performance.now();
        known = timeline.painted;
        const traces = [...timeline.traces.values()];
        if (probes.firstSignal === undefined && traces.some((trace) => trace.frames.length > 0)) probes.firstSignal = now;
        if (probes.arrived !== undefined) for (const [name, trace] of timeline.traces) arrived(name, trace, now);
    };
    const newest = new Map();
    const arrived = (name, { frames }, now) => {
        const frame = frames.at(-1);
        if (frame === undefined || frame.tile > 0) return;
        const at = frame.base + BigInt(frame.at.at(-1));
        if (at <= (newest.get(name) ?? 0n) || at > timeline.view.to) return;
        newest.set(name, at);
        probes.arrived.push([name, String(at), performance.timeOrigin + now]);
    };
    const painting = () => {
        if (pressed === undefined) return;
        const since = pressed;
        pressed = undefined;
        probes.painted.push(performance.now() - since);
        ask(() => probes.framed.push(performance.now() - since));
    };
    addEventListener("keydown", (event) => { pressed = unanswered = event.timeStamp; }, true);
    /** Sees each painting, and hears the log's answers, too. */
    probes.listen = () => {
        let count = timeline.painted;
        Object.defineProperty(timeline, "painted", { get: () => count, set: (now) => {
            count = now;
            painting();
        } });
        const hear = timeline.hear.bind(timeline);
        timeline.hear = (message) => {
            if (message.type === "accepted") probes.acknowledged.push(performance.now() - unanswered);
            return hear(message);
        };
    };
    /** Shows a view, and returns when it is painted. */
    probes.show = async (from, to) => {
        const before = timeline.painted;
        timeline.show({ from: BigInt(from), to: BigInt(to) });
        while (timeline.painted === before) await new Promise((resolve) => ask(resolve));
    };
    globalThis.probes = probes;
})();
