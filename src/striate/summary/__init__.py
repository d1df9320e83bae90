"""The arithmetic of any module: what it computes, stores and sees, before it is trained."""
