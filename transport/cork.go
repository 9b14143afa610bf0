package transport

// corkRoom is how much may be queued in a corked outbox before it is written all the
// same.
const corkRoom = smallRoom

// cork takes the right to write, so that what is queued waits for uncork; unless
// somebody has that right, and where only the writer may write.
func (s *Session) cork() {
	if s.sock.try == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.out.busy {
		s.out.busy, s.out.corked = true, true
	}
}

// uncork writes what waits for it, unless somebody else did.
func (s *Session) uncork() {
	s.mu.Lock()
	s.out.liftCork()
	s.unlockAndFlush(false)
}

// liftCork gives back the right to write that a cork has taken.
func (o *outbox) liftCork() {
	if o.corked {
		o.busy, o.corked = false, false
	}
}
