//! Where the answers are: always visible as one word and a mark, in full in a pane of its own.

use std::sync::Arc;

use leptos::prelude::*;

use crate::domain::diagnosis::Cause;
use crate::domain::outbox::Hold;
use crate::domain::session::DeliveryView;
use crate::page::text::{Words, fill};

use super::figures::count;
use super::lean::{clicked, derived};

/// The state in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// There is no record yet.
    Nothing,
    /// Some are in memory only.
    Unsaved,
    /// The server does not want some.
    Refused,
    /// There is no network.
    Offline,
    /// Something keeps them from being sent.
    Held,
    /// They are on their way.
    Sending,
    /// The server has them all.
    Sent,
    /// They are kept here, and are to stay here.
    Saved,
}

/// What matters most about delivery, worst first, and how many records it is about.
#[must_use]
pub fn standing(view: &DeliveryView) -> (Standing, usize) {
    let waiting = view.waiting;
    match &view.hold {
        _ if view.volatile > 0 => (Standing::Unsaved, view.volatile),
        _ if view.refused > 0 => (Standing::Refused, view.refused),
        _ if !view.to_server && view.kept() == 0 => (Standing::Nothing, 0),
        _ if !view.to_server => (Standing::Saved, view.kept()),
        Some(Hold::Offline) => (Standing::Offline, waiting),
        Some(Hold::Unauthorized(_) | Hold::WrongAddress(_) | Hold::RetryAt { .. } | Hold::GaveUp { .. })
            if waiting > 0 =>
        {
            (Standing::Held, waiting)
        }
        _ if waiting + view.unsaved > 0 => (Standing::Sending, waiting + view.unsaved),
        _ if view.sent > 0 => (Standing::Sent, view.sent),
        _ => (Standing::Nothing, 0),
    }
}

impl Standing {
    /// Its word.
    #[must_use]
    pub fn word(self, words: &Words) -> &'static str {
        match self {
            Standing::Nothing => words.state_none,
            Standing::Unsaved => words.state_unsaved,
            Standing::Refused => words.state_refused,
            Standing::Offline => words.state_offline,
            Standing::Held => words.state_held,
            Standing::Sending => words.state_sending,
            Standing::Sent => words.state_sent,
            Standing::Saved => words.state_saved,
        }
    }

    /// The name of its mark in the style sheet.
    #[must_use]
    pub fn mark(self) -> &'static str {
        match self {
            Standing::Nothing => "none",
            Standing::Unsaved => "unsaved",
            Standing::Refused => "refused",
            Standing::Offline => "offline",
            Standing::Held => "held",
            Standing::Sending => "sending",
            Standing::Sent => "sent",
            Standing::Saved => "saved",
        }
    }

    /// Whether the person should hear of it.
    #[must_use]
    pub fn is_trouble(self) -> bool {
        matches!(self, Standing::Unsaved | Standing::Refused | Standing::Offline | Standing::Held)
    }
}

/// What stands in the way of delivery, in a sentence.
#[must_use]
pub fn obstacle(view: &DeliveryView, words: &Words) -> Option<String> {
    let why = |template, why: &Arc<str>| fill(template, &[("why", why)]);
    Some(match view.hold.as_ref()? {
        Hold::Offline => words.hold_offline.to_owned(),
        Hold::OtherTab => words.hold_other_tab.to_owned(),
        Hold::RetryAt { why: last, .. } => why(words.hold_retry, last),
        Hold::GaveUp { why: last, .. } => why(words.hold_gave_up, last),
        Hold::Unauthorized(last) => why(words.hold_unauthorized, last),
        Hold::WrongAddress(last) => why(words.hold_address, last),
    })
}

/// What stands in the way, and what mends it, in a sentence.
#[must_use]
pub fn cause_in_words(cause: &Cause, words: &Words) -> String {
    let template = match cause {
        Cause::None(_) => words.cause_none,
        Cause::Somebody => words.cause_somebody,
        Cause::Lacks(_) => words.cause_lacks,
        Cause::Offline => words.cause_offline,
        Cause::NoToken => words.cause_no_token,
        Cause::PagePolicy => words.cause_page_policy,
        Cause::Mixed => words.cause_mixed,
        Cause::Unreachable => words.cause_unreachable,
        Cause::Tls => words.cause_tls,
        Cause::TimedOut => words.cause_timed_out,
        Cause::Redirect => words.cause_redirect,
        Cause::Preflight => words.cause_preflight,
        Cause::Headers(_) => words.cause_headers,
        Cause::MethodNotAllowed => words.cause_method_not_allowed,
        Cause::Origin => words.cause_origin,
        Cause::Credentials => words.cause_credentials,
        Cause::Unauthorized => words.cause_unauthorized,
        Cause::Forbidden => words.cause_forbidden,
        Cause::NotFound => words.cause_not_found,
        Cause::WrongMethod => words.cause_wrong_method,
        Cause::WrongType => words.cause_wrong_type,
        Cause::TooMany => words.cause_too_many,
        Cause::ServerFails(_) => words.cause_server_fails,
        Cause::WebPage => words.cause_web_page,
        Cause::NotConfirmed => words.cause_not_confirmed,
    };
    let (why, status) = match cause {
        Cause::Headers(why) | Cause::Lacks(why) => (&**why, String::new()),
        Cause::None(status) | Cause::ServerFails(status) => ("", status.to_string()),
        _ => ("", String::new()),
    };
    fill(template, &[("why", why), ("status", &status)])
}

/// In which form answers are downloaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One JSON object a line.
    JsonLines,
    /// A table.
    Csv,
    /// The refused records only, as JSON Lines.
    Refused,
}

/// Counts, what stands in the way, and what can be done.
#[component]
pub fn Delivery(
    words: &'static Words,
    #[prop(into)] delivery: Signal<DeliveryView>,
    /// Whether the browser has promised to keep the store.
    #[prop(into)]
    persisted: Signal<Option<bool>>,
    /// What the test of the connection has found, `Some(None)` while it looks.
    #[prop(into)]
    connection: Signal<Option<Option<Cause>>>,
    on_send: Callback<()>,
    on_test: Callback<()>,
    on_download: Callback<Form>,
    /// The list of refused records.
    children: Children,
) -> AnyView {
    let figure =
        move |of: fn(&DeliveryView) -> usize| derived(move || delivery.with(|view| count(of(view), words)));
    let to_server = move || delivery.with(|view| view.to_server);
    let heading = derived(move || if to_server() { words.sent_from_here } else { words.kept_here });
    let obstacle = Memo::new(move |_| delivery.with(|view| obstacle(view, words)));
    view! {
        <section class="pane" aria-labelledby="delivery-name">
            <div class="pane__head">
                <div><h2 id="delivery-name" tabindex="-1">{words.delivery}</h2><p>{heading}</p></div>
                <div class="buttons">
                    <button type="button" class="button" on:click=clicked(move |_| on_download.run(Form::JsonLines))>{words.download_lines}</button>
                    <button type="button" class="button" on:click=clicked(move |_| on_download.run(Form::Csv))>{words.download_csv}</button>
                </div>
            </div>
            <div class="pane__scroll">
                <dl class="counts">
                    <div><dt>{words.count_saved}</dt><dd>{figure(DeliveryView::kept)}</dd></div>
                    <div hidden=derived(move || !to_server())><dt>{words.count_under_way}</dt><dd>{figure(|v| v.waiting)}</dd></div>
                    <div hidden=derived(move || !to_server())><dt>{words.count_sent}</dt><dd>{figure(|v| v.sent)}</dd></div>
                    <div hidden=derived(move || !to_server()) data-bad=derived(move || delivery.with(|v| (v.refused > 0).to_string()))>
                        <dt>{words.count_refused}</dt><dd>{figure(|v| v.refused)}</dd>
                    </div>
                </dl>
                <div class="obstacle" hidden=derived(move || obstacle.with(Option::is_none))>
                    <p>{derived(move || obstacle.get())}</p>
                    <button type="button" class="button" on:click=clicked(move |_| on_send.run(()))>{words.send_now}</button>
                </div>
                <div class="connection" hidden=derived(move || !to_server())>
                    <button type="button" class="button" on:click=clicked(move |_| on_test.run(()))>{words.test}</button>
                    <p role="status" data-cause=derived(move || connection.with(|found| found.as_ref().map(|found| found.as_ref().map_or("", Cause::name))))>
                        {derived(move || connection.with(|found| match found {
                            None => String::new(),
                            Some(None) => words.testing.to_owned(),
                            Some(Some(cause)) => cause_in_words(cause, words),
                        }))}
                    </p>
                </div>
                <p class="kept" hidden=derived(move || persisted.get().is_none())>
                    {derived(move || if persisted.get() == Some(true) { words.store_kept } else { words.store_may_go })}
                </p>
                {children()}
            </div>
        </section>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::domain::ident::Timestamp;

    fn to_server() -> DeliveryView {
        DeliveryView { to_server: true, records: 5, ..DeliveryView::default() }
    }

    #[test]
    fn trouble_comes_before_what_goes_well() {
        assert_eq!(standing(&DeliveryView { sent: 3, refused: 2, ..to_server() }), (Standing::Refused, 2));
        assert_eq!(
            standing(&DeliveryView { refused: 2, volatile: 1, ..to_server() }),
            (Standing::Unsaved, 1)
        );
        let hold = Some(Hold::RetryAt { at: Timestamp(0), since: Timestamp(0), why: "503".into() });
        assert_eq!(standing(&DeliveryView { waiting: 4, hold, ..to_server() }), (Standing::Held, 4));
    }

    #[test]
    fn only_what_the_server_has_is_called_sent() {
        assert_eq!(standing(&DeliveryView { sent: 4, waiting: 1, ..to_server() }), (Standing::Sending, 1));
        assert_eq!(standing(&DeliveryView { sent: 5, ..to_server() }), (Standing::Sent, 5));
    }

    #[test]
    fn without_a_server_answers_are_saved() {
        let view = DeliveryView { records: 5, ..DeliveryView::default() };
        assert_eq!(standing(&view), (Standing::Saved, 5));
    }

    #[test]
    fn what_the_browser_has_not_stored_yet_is_not_called_saved() {
        let view = DeliveryView { records: 5, unsaved: 1, ..DeliveryView::default() };
        assert_eq!(standing(&view), (Standing::Saved, 4));
        let first = DeliveryView { records: 1, unsaved: 1, ..DeliveryView::default() };
        assert_eq!(standing(&first), (Standing::Nothing, 0));
    }

    #[test]
    fn a_record_under_way_is_counted_once() {
        assert_eq!(standing(&DeliveryView { waiting: 1, sending: 1, ..to_server() }), (Standing::Sending, 1));
    }
}
