//! All lines of a period, a page a reading: the next is read when the last has gone out, and none any more once whoever
//! asked has hung up.

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use payments::store::{BooksReader, ExportPage, Period, SubmitError};
use units::AccountId;

use super::Form;

/// An export under way, its first page read.
#[derive(Debug)]
pub struct Lines {
    books: BooksReader,
    account: Option<AccountId>,
    period: Period,
    form: Form,
    page: ExportPage,
}

impl Lines {
    /// Begins; what cannot be read at all is said before anything is sent.
    ///
    /// # Errors
    /// [`SubmitError`] if the books cannot be read.
    pub async fn begin(
        books: BooksReader,
        account: Option<AccountId>,
        period: Period,
        form: Form,
    ) -> Result<Self, SubmitError> {
        let page = books.export(account, period, None).await?;
        Ok(Self { books, account, period, form, page })
    }

    /// The pages as bytes. Ends with an error if the books cannot be read on: what was sent is not all then.
    pub fn bytes(self) -> impl Stream<Item = Result<Bytes, SubmitError>> + Send {
        let head = Bytes::from(self.form.head());
        let pages = stream::try_unfold(self, async |mut state| {
            while state.page.lines.is_empty() {
                let Some(place) = state.page.next.take() else { return Ok(None) };
                state.page = state.books.export(state.account, state.period, Some(place)).await?;
            }
            let mut text = String::new();
            for line in std::mem::take(&mut state.page.lines) {
                state.form.write(&line, &mut text);
            }
            Ok(Some((Bytes::from(text), state)))
        });
        stream::iter([Ok(head)]).chain(pages).try_filter(|bytes| std::future::ready(!bytes.is_empty()))
    }
}
