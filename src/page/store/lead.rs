//! Who of a project's elements sends: a Web Lock, or a lease in the store where the browser has no locks.

use std::cell::Cell;
use std::rc::{Rc, Weak};

use js_sys::{Function, Object, Promise, Reflect};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::AbortController;

use super::rows::{LEASE, lease_text, read_lease};
use super::{Inner, StoreError};
use crate::domain::ident::Timestamp;
use crate::domain::lease::{self, Lease};
use crate::page::time::{now, sleep};

#[wasm_bindgen]
extern "C" {
    type LockManager;

    #[wasm_bindgen(method, catch)]
    fn request(
        this: &LockManager,
        name: &str,
        options: &Object,
        granted: &Function,
    ) -> Result<EndOfLock, JsValue>;

    /// The promise of `request`: settled when the lock is given back or refused.
    type EndOfLock;

    #[wasm_bindgen(method)]
    fn then(this: &EndOfLock, done: &Function, failed: &Function) -> JsValue;
}

/// The right to send, for as long as this lives.
#[must_use]
pub struct Lead {
    _lock: Option<Lock>,
    lease: Option<Rc<Holding>>,
}

/// A lock that is held or waited for; dropping it gives up either.
struct Lock {
    release: Function,
    wait: AbortController,
    _granted: Closure<dyn FnMut() -> Promise>,
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.release.call0(&JsValue::NULL);
        self.wait.abort();
    }
}

/// A lease that is held; dropping it gives it up.
struct Holding {
    of: Rc<Inner>,
    me: u64,
    lost: Promise,
    lose: Function,
}

impl Drop for Holding {
    fn drop(&mut self) {
        // Whoever waits for the loss would wait for ever, and keep what it holds.
        let _ = self.lose.call0(&JsValue::NULL);
        let (of, me) = (self.of.clone(), self.me);
        spawn_local(async move {
            let give_up = move |stored: Option<String>| {
                let own = stored.as_deref().and_then(read_lease).filter(|lease| lease.holder == me)?;
                Some(lease_text(lease::given_up(own)))
            };
            if let Ok(Some(database)) = of.database().await {
                // One that is not given up runs out.
                let _ = database.exchange(LEASE, Box::new(give_up)).await;
            }
        });
    }
}

impl Lead {
    /// Where there is nobody to share with.
    pub fn alone() -> Self {
        Self { _lock: None, lease: None }
    }

    /// Resolves when another tab has taken the lease over, since this one was asleep; `None`: that cannot happen.
    #[must_use]
    pub fn lost(&self) -> Option<Promise> {
        self.lease.as_ref().map(|lease| lease.lost.clone())
    }

    /// Resolves when the lock or the lease is ours.
    pub(super) async fn take(of: &Rc<Inner>) -> Self {
        match lock(of).await {
            Some(lock) => Self { _lock: Some(lock), lease: None },
            None if of.left.get() => Self::alone(),
            // Insecure context, opaque origin, an old browser.
            None => Self { _lock: None, lease: leased(of).await },
        }
    }
}

/// A promise and what resolves it.
fn promise() -> (Promise, Function) {
    let mut resolve = None;
    let promise = Promise::new(&mut |done, _| resolve = Some(done));
    (promise, resolve.unwrap_or_default())
}

/// The project's lock, once it is ours; `None` where the browser has none to give.
async fn lock(of: &Inner) -> Option<Lock> {
    if of.left.get() {
        return None;
    }
    let locks = Reflect::get(&web_sys::window()?.navigator(), &"locks".into()).ok()?;
    let wait = AbortController::new().ok()?;
    let ((held, release), (ours, is_ours)) = (promise(), promise());
    let granted = Closure::<dyn FnMut() -> Promise>::new({
        let is_ours = is_ours.clone();
        move || {
            let _ = is_ours.call1(&JsValue::NULL, &JsValue::TRUE);
            held.clone()
        }
    });
    if !locks.is_object() {
        return None;
    }
    let options = Object::new();
    let _ = Reflect::set(&options, &"signal".into(), &wait.signal());
    let locks = locks.unchecked_ref::<LockManager>();
    let end = locks.request(&of.name, &options, granted.as_ref().unchecked_ref()).ok()?;
    of.waits.replace(Some(wait.clone()));
    // Also when the browser refuses: then there is no lock to be had at all.
    end.then(&is_ours, &is_ours);
    let lock = Lock { release, wait, _granted: granted };
    (JsFuture::from(ours).await.ok()? == JsValue::TRUE).then_some(lock)
}

/// The project's lease, once it is ours; `None` where the store fails: then two tabs may send, which costs
/// requests, but the records' ids make doubles harmless.
async fn leased(of: &Rc<Inner>) -> Option<Rc<Holding>> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let me = (js_sys::Math::random() * 9e15) as u64 + 1;
    loop {
        match claim(of, me).await.ok()? {
            _ if of.left.get() => return None,
            Ok(_) => break,
            // It may be given up before it runs out.
            Err(at) => sleep((at.since(now())).min(lease::RENEW_MS / 2)).await,
        }
    }
    let (lost, lose) = promise();
    let holding = Rc::new(Holding { of: of.clone(), me, lost, lose });
    spawn_local(renew(Rc::downgrade(&holding)));
    Some(holding)
}

/// Keeps the lease until it is given up or lost.
async fn renew(holding: Weak<Holding>) {
    loop {
        sleep(lease::RENEW_MS).await;
        let Some(held) = holding.upgrade() else { return };
        let before = held.of.lease.get();
        let ran_out = before.is_none_or(|lease| lease.until < now());
        match claim(&held.of, held.me).await {
            // Another number: somebody else had it while this tab slept, and gave it back. What is known is out of date.
            Ok(Ok(lease)) if before.is_some_and(|before| before.fence == lease.fence) => {}
            // A store that fails for a moment; nobody else can read it either.
            Err(_) if !ran_out => {}
            Ok(_) | Err(_) => {
                let _ = held.lose.call0(&JsValue::NULL);
                return;
            }
        }
    }
}

async fn claim(of: &Inner, me: u64) -> Result<Result<Lease, Timestamp>, StoreError> {
    let outcome = Rc::new(Cell::new(Err(Timestamp::default())));
    let decide = {
        let outcome = outcome.clone();
        move |stored: Option<String>| {
            let claimed = lease::claim(stored.as_deref().and_then(read_lease), me, now());
            outcome.set(claimed);
            claimed.ok().map(lease_text)
        }
    };
    let Some(database) = of.database().await? else { return Err(StoreError::Missing) };
    database.exchange(LEASE, Box::new(decide)).await?;
    if let Ok(lease) = outcome.get() {
        of.lease.set(Some(lease));
    }
    Ok(outcome.get())
}
