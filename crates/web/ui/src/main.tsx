import '@livekit/components-styles';
import './styles.css';
import './chat/ui/chat.css';
import './account/ui/account.css';
import './account/ui/admin/admin.css';

import { createRoot } from 'react-dom/client';

import { App } from './App';

const root = document.getElementById('root');
if (root) createRoot(root).render(<App />);
